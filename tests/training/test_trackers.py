"""TensorBoard's event files, read back: they are the history."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.errors import InputError
from tests.helpers.tiny import main, run

TRACKED = "train.trackers=[tensorboard]"


def told(folder: Path) -> EventAccumulator:
    """All that TensorBoard shows of a run, nothing left out for speed."""
    found = EventAccumulator(str(folder / "trackers/tensorboard"), {"scalars": 0, "images": 0})
    return found.Reload()


def assert_is_the_history(folder: Path) -> None:
    """Every number of every record at its step, once; and every grid."""
    records = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    shown = told(folder)
    expected: dict[str, list[tuple[int, float]]] = {}
    for record in records:
        for name, value in record.items():
            if isinstance(value, (int, float)):
                expected.setdefault(name, []).append((record["step"], pytest.approx(value)))
    assert set(shown.Tags()["scalars"]) == set(expected)
    for name, curve in expected.items():
        assert [(one.step, one.value) for one in shown.Scalars(name)] == curve
    grids = shown.Images("samples")
    assert [one.step for one in grids] == [record["step"] for record in records]
    assert (grids[0].width, grids[0].height) == (134, 68), "two pictures of 16 pixels, enlarged"


def test_tensorboard_shows_the_history(after_first: Path) -> None:
    found = run(TRACKED)
    assert found["name"] == "tiny", "where something is shown does not name another run"
    assert found["artifacts"]["model"]["reused"], "nor train it again"
    assert_is_the_history(Path(found["folder"]))
    [file] = (after_first / "runs/tiny/trackers/tensorboard").glob("*/hparams.yml")
    text = file.read_text()
    assert "backbone.name: residual_unet" in text
    assert "train.optimizer.lr: 0.001" in text


def test_a_training_that_goes_on_has_one_curve(here: Path) -> None:
    trip = ["--set", "augment.trip.step=4", "--set", TRACKED]
    assert main("run", "tiny.yaml", *trip, "--device", "cpu") == 143
    assert [one.step for one in told(Path("runs/tiny")).Scalars("kid")] == [3]
    run(TRACKED)
    assert_is_the_history(Path("runs/tiny"))


def test_a_finished_run_is_not_told_again(after_first: Path) -> None:
    run(TRACKED)
    before = sorted((after_first / "runs/tiny/trackers").rglob("*"))
    run(TRACKED)
    assert sorted((after_first / "runs/tiny/trackers").rglob("*")) == before


def test_what_is_missing_is_told_before_any_work(here: Path, monkeypatch) -> None:
    with pytest.raises(InputError, match=r"train\.trackers\.0: .*'tensorboard', .*'wandb'"):
        run("train.trackers=[tensorbord]")
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", list)
    with pytest.raises(InputError, match=r"tensorboard .*pip install 'diffusion-pipeline\[tr"):
        run(TRACKED, dry_run=True)
    with pytest.raises(InputError, match=r"pip install 'diffusion-pipeline\[trackers\]' comet-ml"):
        run("train.trackers=[comet_ml]")
    monkeypatch.setitem(sys.modules, "accelerate.tracking", None)
    with pytest.raises(InputError, match=r"pip install 'diffusion-pipeline\[trackers\]'"):
        run(TRACKED)
    assert {path.name for path in here.iterdir()} == {"tiny.yaml"}
