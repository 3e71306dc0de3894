"""A run that has not finished can be looked at, and its training is not disturbed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pipeline import InputError, commands
from pipeline.errors import Interrupted
from tests.helpers.tiny import STAGES, main, model, run, same

MORE = ["train.checkpoint_every=1 step", "train.validate.every=2 steps"]


@pytest.fixture
def stopped(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that was interrupted after five steps."""
    from pipeline.training.loop import Training

    step = Training.one_step

    def one_step(training: Training) -> None:
        if training.step == 5:
            raise Interrupted(15, "terminated")
        step(training)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "one_step", one_step)
        with pytest.raises(Interrupted):
            run(*MORE, name="tiny")
    return Path("runs/tiny")


def test_it_is_drawn_from_scored_and_reported_as_it_is(stopped: Path, capfd) -> None:
    opened = commands.open_run("tiny", plugins=[STAGES], device="cpu")
    assert "tiny has not finished: its model is that of step 5 of" in capfd.readouterr().err
    assert repr(opened).startswith("<run tiny (step 5 of")
    assert "not finished" in opened._repr_html_()
    assert len(opened.sample(2, num_steps=1)) == 2
    drawn = commands.sample("tiny", num_images=2, num_steps=1, plugins=[STAGES], device="cpu")
    assert drawn["unfinished"].startswith("step 5 of")
    told = json.loads((Path(drawn["folder"]) / "samples.json").read_text())
    assert "not finished" in told["run"]
    scored = commands.evaluate(Path("tiny"), num_images=4, plugins=[STAGES], device="cpu")
    assert scored["unfinished"].startswith("step 5 of")
    assert scored["scores"]["kid"]["protocol"]["num_fake"] == 4
    page = stopped / "report.html"
    assert "not finished" in page.read_text()
    page.unlink()
    assert main("report", "tiny", plugin=False) == 0
    assert "step 4" in page.read_text()


def test_looking_changes_nothing_of_the_training(stopped: Path) -> None:
    commands.sample("tiny", num_images=2, num_steps=1, plugins=[STAGES], device="cpu")
    ended = run(*MORE, name="tiny")
    assert "unfinished" not in ended
    whole = run(*MORE, name="tiny", fresh=True)
    assert same(model(ended), model(whole))
    assert "not finished" not in (stopped / "report.html").read_text()


def test_its_weights_are_those_of_the_checkpoint(stopped: Path) -> None:
    opened = commands.open_run("tiny", plugins=[STAGES], device="cpu")
    ema = dict(opened.model().network.named_parameters())
    raw = dict(opened.model(weights="raw").network.named_parameters())
    assert ema.keys() == raw.keys()
    assert any(not torch.equal(ema[name], raw[name]) for name in ema)


def test_without_a_checkpoint_it_is_refused_and_compare_wants_a_finished_one(here: Path) -> None:
    Path("runs/tiny").mkdir(parents=True)
    Path("runs/tiny/recipe.yaml").write_text(Path("tiny.yaml").read_text())
    with pytest.raises(InputError, match="has not finished and has no checkpoint yet; run its"):
        commands.sample("tiny", plugins=[STAGES], device="cpu")
    with pytest.raises(InputError, match="this run has not finished; run its recipe again"):
        commands.compare(["tiny", "tiny"], plugins=[STAGES])
