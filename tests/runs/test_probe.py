"""What is tried before anything heavy: one batch through every stage, and what no machine holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import InputError, commands
from tests.helpers import tiny

ODD = '''
from collections.abc import Mapping
import torch
from pipeline import Score, hookimpl, stage
from tiny_stages import Spread

@stage
class Grey:
    """A preprocessor to one channel."""
    def __call__(self, image):
        """The mean of the channels."""
        return image.mean(0, keepdim=True)

@stage
class Two:
    """A preprocessor to two channels."""
    def __call__(self, image):
        """Without blue."""
        return image[:2]

@stage
class Wider:
    """An augmentation that changes the size."""
    def __call__(self, images, draws):
        """Twice as wide."""
        return torch.cat([images, images], 3)

@stage
class Unwritable(Spread):
    """A metric that says a tensor."""
    def __call__(self, real, fake):
        """Its protocol is none for JSON."""
        return Score(1.0, protocol={"mean": real.mean()})

@stage
class Never:
    """A learning rate that is none."""
    def __call__(self, step):
        """NaN in the second half."""
        return 1.0 if step < 3 else float("nan")

@stage
class Uncounted:
    """A sampler that does not say how often it evaluates the network."""
    order = 1
    def nfe(self, num_steps):
        """Nothing."""
    def __call__(self, denoise, x, levels, draws):
        """No step."""
        return x

@hookimpl
def register_samplers():
    return {"uncounted": Uncounted}

@hookimpl
def register_preprocessors():
    return {"grey": Grey, "two": Two}

@hookimpl
def register_augmentations():
    return {"wider": Wider}

@hookimpl
def register_metrics():
    return {"unwritable": Unwritable}

@hookimpl
def register_lr_schedules():
    return {"never": Never}
'''


@pytest.fixture
def odd(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plugin file whose stages do what the next stage cannot take."""
    monkeypatch.syspath_prepend(str(tiny.STAGES.parent))
    file = here / "odd.py"
    file.write_text(ODD)
    return file


def save_photos(folder: Path, count: int) -> None:
    """``000.png`` and so on, each of another colour."""
    folder.mkdir(parents=True)
    for i in range(count):
        Image.new("RGB", (16, 16), (20 * i, 90, 40)).save(folder / f"{i:03d}.png")


def refusal(odd: Path, *overrides: str) -> str:
    """What ``run`` says; before it says so it must have made nothing."""
    plugins = [tiny.STAGES, odd]
    for dry_run in (True, False):
        with pytest.raises(InputError) as caught:
            commands.run("tiny.yaml", overrides, plugins=plugins, device="cpu", dry_run=dry_run)
        assert not Path(".pipeline/artifacts").exists()
    return str(caught.value)


def test_features_that_cannot_take_two_channels_are_told_before_training(odd: Path) -> None:
    said = refusal(odd, "preprocess=[two]", "features=efficientnet_lite0")
    assert said.startswith("train.validate.metrics: features efficientnet_lite0")
    assert said.endswith("need images of 3 channels (RGB) or 1 (grey), these have 2")


def test_one_channel_goes_through_what_can_take_it(odd: Path) -> None:
    found = commands.run(
        "tiny.yaml",
        ["preprocess=[grey]"],
        plugins=[tiny.STAGES, odd],
        device="cpu",
        dry_run=True,
    )
    assert found["probe"]["shape"] == (1, 16, 16)  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("augment=[wider]", "augment.0: images should be"),
        ("evaluate.metrics=[unwritable]", "evaluate.metrics: a score should be plain numbers"),
        ("sample.sampler=uncounted", "sample: Uncounted.nfe(3) is None: should be the number of"),
        ("train.lr_schedule=never", "train.lr_schedule: gives nan at step"),
        ("sample.num_images=1000000000000", "sample.num_images: 1,000,000,000,000 images are"),
        (
            "evaluate.num_images=1000000000000",
            "evaluate.num_images: 1,000,000,000,000 images are",
        ),
        ("train.validate.grid=[1000000, 1000000]", "train.validate.grid: images of 16×16"),
        ("sample.grid=[1000000, 1000000]", "are more than num_images 4"),
        ("dataset.num_images=1000000000", "dataset.num_images"),
        ("sample.num_steps=100000000", "sample: 100,000,000 steps are beyond any use"),
        ("backbone.block_depth=10000000", "backbone: "),
        ("backbone.widths=[800000, 800000]", "backbone: "),
        ("backbone.widths=[80000000000000, 80000000000000]", "backbone: "),
    ],
)
def test_what_the_next_stage_or_the_machine_cannot_take_is_told_at_once(
    odd: Path, override: str, words: str
) -> None:
    said = refusal(odd, override)
    assert words in said
    assert "\n" not in said


def test_classes_that_training_does_not_see_are_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_photos(here / "photos/often", 9)
    save_photos(here / "photos/once", 1)
    (here / "tiny.yaml").write_text(
        tiny.CLASSES.replace(
            "{name: procedural_flowers, num_images: 60, size: 16}",
            "{name: image_folder, root: photos}\npreprocess: [{name: resize, size: 16}]",
        )
    )
    sizes = ("split.validation=0.2", "train.batch_size=4")
    _dry_run("split.seed=0", *sizes)  # two others are held back
    assert "no image of these classes" not in capsys.readouterr().err
    _dry_run("split.seed=12", *sizes)
    said = capsys.readouterr().err
    assert "no image of these classes is in training" in said
    assert any(line.endswith(": once") for line in said.splitlines())


def _dry_run(*overrides: str) -> Any:
    return tiny.run(*overrides, dry_run=True)


def test_a_class_folder_without_photos_is_named(here: Path) -> None:
    save_photos(here / "photos/full", 4)
    (here / "photos/empty/deeper").mkdir(parents=True)
    (here / "photos/.hidden").mkdir()
    with pytest.raises(InputError, match="no photos are in the class folders empty; put some"):
        tiny.run("dataset={name: image_folder, root: photos}", dry_run=True)


def test_the_first_photo_that_cannot_be_read_does_not_hide_the_others(here: Path) -> None:
    save_photos(here / "photos", 12)
    for name in ("000.png", "007.png"):
        (here / "photos" / name).write_bytes(b"no picture")
    with pytest.raises(InputError) as caught:
        tiny.run(
            "dataset={name: image_folder, root: photos}",
            "preprocess=[{name: resize, size: 16}]",
            "train.batch_size=4",
        )
    assert "000.png" in str(caught.value)
    assert "007.png" in str(caught.value)
