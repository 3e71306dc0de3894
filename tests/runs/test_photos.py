"""A folder of photos: what follows from it, and what its run keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pipeline import InputError, commands
from pipeline.plugin.registry import Registry
from pipeline.recipe.load import check_recipe
from pipeline.runs import photos
from tests.helpers.tiny import main


@pytest.fixture
def holiday(here: Path) -> Path:
    """Twelve photos in two folders, with what else lies about."""
    for number in range(12):
        folder = Path("holiday") / ("beach" if number % 2 else "hills")
        folder.mkdir(parents=True, exist_ok=True)
        colour = (20 * number, 90, 255 - 20 * number)
        Image.new("RGB", (40 + number, 48), colour).save(folder / f"{number}.png")
    Path("holiday/Thumbs.db").write_bytes(b"junk")
    return Path("holiday")


QUICK = [
    "train.max_steps=2",
    "train.lr_schedule.warmup_steps=0",
    "sample.num_images=2",
    "backbone.widths=[8,8,8,8]",
]


def test_a_folder_is_run_and_found_again_with_what_was_chosen(holiday: Path, capfd) -> None:
    first = commands.run("photos", QUICK, data=holiday, size=16, name="mine", device="cpu")
    told = capfd.readouterr().err
    assert "train.batch_size: 4: 9 photos to train with, on a CPU" in told
    assert "Thumbs.db" in told
    assert "--conditional trains with them" in told
    recipe = first["recipe"]
    assert recipe["dataset"]["root"] == "holiday"
    assert recipe["preprocess"][1]["size"] == 16
    assert recipe["train"]["lr_schedule"]["total_steps"] == 2
    assert first["chosen"]["train.batch_size: 4"] == "9 photos to train with, on a CPU"
    assert first["command"].startswith("pipeline run photos --data holiday --size 16 --set ")
    again = commands.run("photos", QUICK, data=holiday, size=16, name="mine", device="cpu")
    assert all(artifact["reused"] for artifact in again["artifacts"].values())
    assert again["recipe"] == recipe


def test_on_another_device_its_run_keeps_what_it_had(holiday: Path, monkeypatch) -> None:
    asked = {"data": holiday, "size": 16, "device": "cpu"}
    first = commands.run("photos", QUICK, **asked)
    assert first["name"] == "holiday"
    monkeypatch.setattr(photos, "choose_device", lambda _: "cuda")
    loaded, told = photos.load_photos(
        "photos", photos.Photos(holiday, 16), [], None, Registry.load(), "auto"
    )
    assert loaded.recipe.train.batch_size == 4
    assert set(told.values()) == {"as runs/holiday has it"}
    other, told = photos.load_photos(
        "photos", photos.Photos(holiday, 24), [], None, Registry.load(), "auto"
    )
    assert "as runs/holiday has it" not in told.values()
    assert other.recipe.train.epochs == photos.PASSES


def test_init_writes_a_recipe_that_is_the_same(holiday: Path, capfd) -> None:
    assert (
        main("init", "my.yaml", "--data", "holiday", "--size", "24", "--conditional", plugin=False)
        == 0
    )
    assert "Next: pipeline run my.yaml --dry-run" in capfd.readouterr().out
    recipe = check_recipe("my.yaml").recipe
    assert (recipe.name, recipe.train.condition) == ("my", "class")
    assert recipe.train.batch_size == 4
    assert recipe.evaluate is None
    text = Path("my.yaml").read_text()
    assert "batch_size: 4  # 9 photos to train with, on a" in text
    assert main("init", "my.yaml", "--data", "holiday", plugin=False) == 2
    assert "my.yaml is there already" in capfd.readouterr().err
    assert Path("my.yaml").read_text() == text


@pytest.mark.parametrize(
    ("count", "size", "gpu", "steps"),
    [(208, 32, False, 3000), (235, 64, False, 1995), (40, 64, True, 2000), (5895, 64, True, 25024)],
)
def test_the_length_follows_from_number_size_and_device(
    count: int, size: int, gpu: bool, steps: int
) -> None:
    settings = {s.key: s.value for s in photos._for_training(count, size, gpu)}
    per_epoch = count // int(settings["train.batch_size"])
    assert int(settings["train.epochs"]) * per_epoch == pytest.approx(steps, rel=0.02)
    assert float(settings["train.ema.decay"]) == pytest.approx(1 - 20 / steps, abs=1e-3)


def test_what_cannot_be_is_refused(holiday: Path) -> None:
    with pytest.raises(InputError, match="--size 30: should be a multiple of 8"):
        commands.run("photos", data=holiday, size=30)
    with pytest.raises(InputError, match="--data: is for `pipeline run photos`; quickstart has"):
        commands.run("quickstart", data=holiday)
    for path in sorted(holiday.rglob("*.png"))[:4]:
        path.unlink()
    with pytest.raises(InputError, match="holiday: 8 photos are too few; 10 are the least"):
        commands.run("photos", data=holiday)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        commands.init(Path("a.yaml"), Path("nowhere"))
    assert not Path("a.yaml").exists()


@pytest.mark.parametrize(("count", "augment"), [(208, "[horizontal_flip]"), (50_000, "[]")])
def test_few_photos_are_mirrored_and_many_are_not(count: int, augment: str) -> None:
    settings = {s.key: s.value for s in photos._for_training(count, 32, True)}
    assert settings["augment"] == augment
