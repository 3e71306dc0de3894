"""Images that cannot be used: all are told, and the recipe may leave them out."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline import InputError, commands
from pipeline.artifacts import prepare
from pipeline.artifacts.prepare import read_images
from pipeline.commands import cache, open_run
from pipeline.errors import Failed
from pipeline.plugin import photo
from tests.helpers import tiny
from tests.helpers.tiny import built, run, shell

SKIP = "dataset.on_error=skip"
BAD = {"03.png": b"no picture at all", "11.png": b"", "17.png": None}
"""The last one is cut."""


@pytest.fixture
def photos(here: Path) -> Path:
    """A folder of 60 photos, the recipe's dataset."""
    folder = here / "photos"
    folder.mkdir()
    noise = np.random.default_rng(0)
    for i in range(60):
        pixels = noise.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    drawn = "{name: procedural_flowers, num_images: 60, size: 16}"
    recipe = tiny.RECIPE.replace(drawn, "{name: image_folder, root: photos}")
    (here / "tiny.yaml").write_text(recipe)
    return folder


def spoil(photos: Path) -> dict[str, bytes]:
    """Damage three photos; returns what they were."""
    before = {name: (photos / name).read_bytes() for name in BAD}
    for name, data in BAD.items():
        (photos / name).write_bytes(before[name][:200] if data is None else data)
    return before


def test_all_that_cannot_be_used_are_told_with_the_way_out(photos: Path) -> None:
    spoil(photos)
    with pytest.raises(InputError) as caught:
        run()
    said = str(caught.value)
    assert said.startswith("3 of 60 images cannot be used; mend or remove them:\n")
    assert all(f"photos/{name}: " in said for name in BAD)
    assert said.endswith("\nOr leave them out: on_error: skip in the recipe's dataset.")


def test_they_are_left_out_and_no_other_image_changes_its_half(photos: Path, capsys: Any) -> None:
    whole = read_images(open_run(run(name="whole")["folder"]).artifact("images"))
    spoil(photos)
    found = run(SKIP)
    assert "left out: 3 of 60 images:\n  photos/03.png: " in capsys.readouterr().err
    images = read_images(open_run(found["folder"]).artifact("images"))
    left = [i for i in range(60) if f"{i:02d}.png" not in BAD]
    assert len(images) == 57
    assert (images.pixels(range(57)) == whole.pixels(left)).all()
    assert (images.is_validation == whole.is_validation[left]).all()


def test_what_was_left_out_is_told_everywhere(photos: Path) -> None:
    spoil(photos)
    done = shell("run", "tiny.yaml", "--set", SKIP, "--device", "cpu")
    assert "images left out: 3 (photos/03.png: " in done.stdout
    record = json.loads(Path("runs/tiny/run.json").read_text())
    assert [reason.partition(": ")[0] for reason in record["left_out"]] == [
        f"photos/{name}" for name in BAD
    ]
    page = Path("runs/tiny/report.html").read_text()
    assert "Images left out, because they cannot be used: 3" in page
    assert "photos/11.png" in page
    assert (
        yaml.safe_load(Path("runs/tiny/recipe.yaml").read_text())["dataset"]["on_error"] == "skip"
    )


def test_it_is_found_again_without_decoding(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(photos)
    first = run(SKIP)
    monkeypatch.setattr(prepare, "write_images", None)
    again = run(SKIP)
    assert not built(again)
    assert again["left_out"] == first["left_out"]
    assert again["folder"] == first["folder"]
    cache("gc")
    assert not built(run(SKIP))


def test_where_nothing_is_left_out_the_key_is_as_without(photos: Path) -> None:
    found = run()
    again = run(SKIP)
    assert not built(again)
    assert "left_out" not in again
    assert again["folder"] == found["folder"]


def test_a_mended_photo_makes_the_images_anew(photos: Path) -> None:
    before = spoil(photos)
    spoilt = run(SKIP, name="spoilt")
    (photos / "03.png").write_bytes(before["03.png"])
    fewer = run(SKIP, name="fewer")
    assert len(fewer["left_out"]) == 2
    for name, data in before.items():
        (photos / name).write_bytes(data)
    mended = run(SKIP, name="mended")
    keys = {found["artifacts"]["images"]["key"] for found in (spoilt, fewer, mended)}
    assert len(keys) == 3
    assert "left_out" not in mended


def test_without_any_image_or_a_half_it_is_an_error(photos: Path) -> None:
    images = read_images(open_run(run()["folder"]).artifact("images"))
    for i in images.indices("validation"):
        (photos / f"{i:02d}.png").write_bytes(b"")
    with pytest.raises(InputError, match="no image for validation is left"):
        run(SKIP, name="half")
    for file in photos.iterdir():
        file.write_bytes(b"")
    with pytest.raises(InputError):
        run(SKIP, name="none")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("dataset.on_error=skp", "dataset.on_error: should be 'error' or 'skip' (did you mean"),
        ("dataset.on_eror=skip", "is called 'on_eror'; did you mean 'on_error'?"),
        ("on_error=skip", "no key is called 'on_error'"),
        ("preprocess=[{name: resize, size: 16, on_error: skip}]", "no option of preprocessor"),
    ],
)
def test_a_wrong_word_is_told_where_it_stands(photos: Path, override: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        run(override)
    assert words in str(caught.value)


def test_a_dataset_with_an_option_of_this_name_is_refused(here: Path) -> None:
    Path("mine.py").write_text(
        "from pipeline import hookimpl, stage\n"
        "from pipeline_datasets.procedural_flowers import ProceduralFlowers\n"
        "@stage\nclass Mine(ProceduralFlowers):\n"
        '    """Flowers."""\n    on_error: int = 1\n    """What the engine does not know."""\n'
        '@hookimpl\ndef register_datasets():\n    return {"mine": Mine}\n'
    )
    with pytest.raises(InputError, match="dataset 'mine' has an option on_error, which is the eng"):
        commands.run("tiny.yaml", ["dataset=mine"], plugins=[tiny.STAGES, Path("mine.py")])


def test_it_is_shown_with_every_dataset_and_in_every_recipe(photos: Path) -> None:
    assert (
        "on_error: 'error' | 'skip', default error"
        in shell("plugins", "show", "dataset", "image_folder", plugin=False).stdout
    )
    shown = shell("show", "tiny.yaml").stdout
    assert yaml.safe_load(shown)["dataset"]["on_error"] == "error"
    Path("again.yaml").write_text(shown)
    assert shell("diff", "tiny.yaml", "again.yaml").stdout.strip() == "no difference"


def test_a_disk_that_fails_is_no_bad_photo(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = photo._rgb

    def fail(image: Image.Image) -> Image.Image:
        if str(getattr(image, "filename", "")).endswith("05.png"):
            raise OSError(errno.EIO, "Input/output error")
        return usual(image)

    monkeypatch.setattr(photo, "_rgb", fail)
    with pytest.raises(Failed, match=r"photos/05\.png: Input/output error"):
        run(SKIP)
