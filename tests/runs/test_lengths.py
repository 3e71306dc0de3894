"""``--ema``: drawing and scoring with an average whose length is chosen after the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import commands
from pipeline.commands import evaluate, open_run
from pipeline.errors import InputError
from tests.helpers.tiny import RECIPE, STAGES, draw, run, working_in

EVERY = "train.ema.snapshot_every=2 steps"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where there is a run of seven steps that kept snapshots, and one that did not."""
    folder = tmp_path_factory.mktemp("lengths")
    with working_in(folder, RECIPE):
        run(EVERY)
        run(name="without")
    return folder


@pytest.fixture
def there(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kept)


def weights(name: str) -> dict[str, Any]:
    """SHA-256 of all weights of a run's model, snapshots too, by their files' names."""
    files = open_run(name, plugins=[STAGES]).artifact("model").manifest["files"]
    return {n: f["sha256"] for n, f in files.items() if n.endswith(".safetensors")}


def test_another_length_draws_other_images_into_another_folder(there) -> None:
    usual, images = draw(checkpoint="last")
    short, ones = draw(ema=0.05)
    long, others = draw(ema=0.15)
    assert not torch.equal(images, ones)
    assert not torch.equal(ones, others)
    assert (short["ema"], long["ema"]) == (0.05, 0.15)
    assert len({usual["folder"], short["folder"], long["folder"]}) == 3
    assert torch.equal(draw(ema=0.05, checkpoint="last")[1], ones)


def test_a_score_tells_the_length(there) -> None:
    usual = evaluate(Path("tiny"), plugins=[STAGES], device="cpu")["scores"]["kid"]
    other = evaluate(Path("tiny"), ema=0.1, plugins=[STAGES], device="cpu")["scores"]["kid"]
    told = {k: v for k, v in other["protocol"].items() if usual["protocol"].get(k) != v}
    assert told == {"length": 0.1, "checkpoint": "last"}
    assert other["value"] != usual["value"]


def test_the_training_itself_is_as_without_snapshots(there) -> None:
    with_them, without = weights("tiny"), weights("without")
    steps = [f"snapshots/step-{step:08d}.safetensors" for step in (2, 4, 6, 7)]
    assert sorted(set(with_them) - set(without)) == steps
    assert all(with_them[name] == without[name] for name in without)


def test_a_training_that_goes_on_keeps_what_one_from_the_start_keeps(here: Path) -> None:
    run(EVERY, "train.max_steps=3", "evaluate=null", name="short")
    run(EVERY, "train.max_steps=8", "evaluate=null", name="long")
    store = Path("fresh")
    run(EVERY, "train.max_steps=8", "evaluate=null", name="straight", store=store)
    assert weights("long") == weights("straight")


def test_a_lost_snapshot_is_told_and_changes_nothing(here: Path, capsys) -> None:
    run(EVERY, "train.max_steps=4", "evaluate=null", name="short")
    next(Path(".pipeline/workspaces/training").glob("*/*/snapshots/*02.safetensors")).unlink()
    capsys.readouterr()
    run(EVERY, "train.max_steps=8", "evaluate=null", name="long")
    assert "its snapshot of step 2 is missing or damaged): trained again" in capsys.readouterr().err
    run(EVERY, "train.max_steps=8", "evaluate=null", name="straight", store=Path("fresh"))
    assert weights("long") == weights("straight")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ema": 0.5}, r"--ema 0\.5: should be the length of an average .* below 0\.289"),
        ({"ema": 0.0}, r"--ema 0: should be the length"),
        ({"ema": 0.1, "weights": "raw"}, "at the end of training: leave out --weights raw"),
        ({"ema": 0.1, "checkpoint": "best"}, "at the end of training: leave out --checkpoint best"),
        ({"ema": 0.1, "name": "without"}, r"no snapshots.*train\.ema\.snapshot_every"),
        ({"ema": 0.001}, r"ema 0\.001: the 4 snapshots of this model tell lengths from 0\.0"),
    ],
)
def test_what_cannot_be_averaged_is_refused(there, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        draw(**options)


def test_an_exported_run_has_no_snapshots_and_says_so(there, tmp_path: Path) -> None:
    commands.export("tiny", tmp_path / "out", plugins=[STAGES])
    with pytest.raises(InputError, match=r"ema 0\.1: .* no snapshots .* as exported ones"):
        draw(str(tmp_path / "out"), ema=0.1)


def test_a_folder_of_images_has_no_average(there) -> None:
    with pytest.raises(InputError, match=r"--ema: .* is a folder, nothing is drawn for it"):
        evaluate(Path("runs"), against=Path("runs"), ema=0.1, plugins=[STAGES], device="cpu")
