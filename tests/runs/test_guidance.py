"""Guidances in recipes and commands: what they draw, what they cost, what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from pipeline import InputError, commands
from pipeline.runs.opened import open_run
from tests.helpers.tiny import CLASSES, STAGES, built, draw, main, run

TRAINED = "train.max_steps=20"


@pytest.fixture
def classes(here: Path) -> Path:
    """A finished run that knows classes."""
    (here / "tiny.yaml").write_text(CLASSES)
    run(TRAINED)
    return here


@pytest.fixture
def two(here: Path) -> Path:
    """Two runs without classes, ``worse`` trained for a shorter time."""
    run("train.max_steps=3", name="worse")
    run(TRAINED)
    return here


def test_an_interval_of_everything_is_classifier_free_and_none_is_off(classes: Path) -> None:
    options = {"num_images": 2, "classes": [0, 1], "guidance_scale": 4.0}
    told, plain = draw(**options)
    assert (told["guidance"], told["guidance_scale"]) == ("classifier_free", 4.0)
    whole, everywhere = draw(guidance="{name: interval, low: 0, high: 1000}", **options)
    assert torch.equal(everywhere, plain)
    assert whole["folder"] != told["folder"]
    _, nowhere = draw(guidance="{name: interval, low: 500, high: 1000}", **options)
    _, off = draw(num_images=2, classes=[0, 1])
    assert torch.equal(nowhere, off)
    assert not torch.equal(plain, off)


def test_a_recipe_is_guided_in_pictures_and_scores(here: Path) -> None:
    (here / "tiny.yaml").write_text(CLASSES)
    plain = run(TRAINED)
    found = run(TRAINED, "sample.guidance=interval", "sample.guidance_scale=3", name="guided")
    assert set(built(found)) >= {"samples", "kid"}
    assert "model" not in built(found)
    assert "guidance" in built(found)["samples"]
    protocol = found["scores"]["kid"]["protocol"]
    assert protocol["guidance"] == "interval"
    assert protocol["nfe"] == 2 * plain["scores"]["kid"]["protocol"]["nfe"]


def test_autoguidance_is_the_difference_of_two_models(two: Path) -> None:
    guidance = "{name: autoguidance, run: worse}"
    (_, plain), (_, worse) = (
        draw(num_images=2, num_steps=1),
        draw("worse", num_images=2, num_steps=1),
    )
    same, once = draw(num_images=2, num_steps=1, guidance=guidance, guidance_scale=1)
    assert torch.equal(once, plain)
    assert same["nfe"] == 1
    _, zero = draw(num_images=2, num_steps=1, guidance=guidance, guidance_scale=0)
    assert torch.equal(zero, worse)
    told, beyond = draw(num_images=2, num_steps=1, guidance=guidance, guidance_scale=1.5)
    assert told["nfe"] == 2
    wanted = (plain.float() + 0.5 * (plain.float() - worse.float())).clamp(0, 255)
    inside = (plain > 0) & (plain < 255) & (worse > 0) & (worse < 255)
    assert (beyond.float() - wanted)[inside].abs().max() <= 2


def test_the_content_of_the_other_run_counts_and_not_its_name(two: Path) -> None:
    options = {"num_images": 2, "guidance_scale": 2.0}
    first, drawn = draw(guidance="{name: autoguidance, run: worse}", **options)
    shutil.copytree("runs/worse", "runs/copy")
    again, same = draw(guidance="{name: autoguidance, run: copy}", **options)
    assert again["reused"]
    assert torch.equal(drawn, same)
    run("train.max_steps=5", name="other")
    third, other = draw(guidance="{name: autoguidance, run: other}", **options)
    assert third["folder"] != first["folder"]
    assert not torch.equal(drawn, other)


def test_scores_and_runs_can_be_guided_by_a_run(two: Path) -> None:
    guidance = "{name: autoguidance, run: worse}"
    scored = commands.evaluate(
        Path("tiny"), guidance=guidance, guidance_scale=2, plugins=[STAGES], device="cpu"
    )
    assert scored["scores"]["kid"]["protocol"]["guidance_scale"] == 2
    found = run(TRAINED, f"sample.guidance={guidance}", "sample.guidance_scale=2", name="guided")
    assert found["scores"]["kid"]["value"] == scored["scores"]["kid"]["value"]
    assert not built(
        run(TRAINED, f"sample.guidance={guidance}", "sample.guidance_scale=2", name="guided")
    )
    assert open_run("guided", plugins=[STAGES]).recipe["sample"]["guidance"]["run"] == "worse"
    picture = Path(found["folder"]) / "samples.png"
    assert picture.is_file()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["sample.guidance=interval"], "sample.guidance: has no effect with guidance_scale 1"),
        (["sample.guidance_scale=2"], "sample.guidance_scale: has no effect without classes"),
        (
            ["sample.guidance={name: autoguidance, run: nowhere}", "sample.guidance_scale=2"],
            "sample.guidance: .*nowhere",
        ),
        (
            [
                "train.validate.guidance={name: autoguidance, run: worse}",
                "train.validate.guidance_scale=2",
            ],
            "train.validate.guidance: names a run, which training does not load",
        ),
        (
            ["train.condition=class", "sample.guidance={name: interval, low: 3, high: 2}"],
            "low 3 should be less than high 2",
        ),
        (["sample.guidance=interva"], "did you mean 'interval'"),
    ],
)
def test_what_has_no_effect_or_no_run_is_refused(changes, told: str, here: Path) -> None:
    with pytest.raises(InputError, match=told):
        run(*changes)


def test_a_model_of_other_images_is_refused(two: Path, capsys) -> None:
    run("dataset.size=8", "backbone.widths=[8]", TRAINED, name="small")
    words = ("sample", "tiny", "--num-images", "1", "--device", "cpu", "--guidance-scale", "2")
    assert main(*words, "--guidance", "{name: autoguidance, run: small}") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("guidance: the model of run small is of images (3, 8, 8), not")
    assert main(*words) == 2
    assert "knows no classes" in capsys.readouterr().err
