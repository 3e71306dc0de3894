"""A run of two steps and four images, for any recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import commands
from tests.helpers.paths import ROOT
from tests.helpers.tiny import run


def test_it_goes_the_whole_way_beside_the_recipes_own_run(here: Path, capfd) -> None:
    own = run()
    trial = run(smoke=True)
    told = capfd.readouterr().err
    assert "tiny-smoke: a trial of 2 steps, 4 images; its pictures and scores mean" in told
    assert (trial["name"], Path(trial["folder"])) == ("tiny-smoke", Path("runs/tiny-smoke"))
    assert trial["recipe"]["train"]["max_steps"] == 2
    assert trial["scores"]["kid"]["protocol"]["num_fake"] == 4
    assert commands.open_run("tiny").record["scores"] == own["scores"]
    again = run("seed=5", smoke=True)
    assert (again["name"], again["recipe"]["seed"]) == ("tiny-smoke", 5)
    third = run("sample.batch_size=3", "train.batch_size=3", smoke=True)
    assert third["recipe"]["train"]["batch_size"] == 3


def test_metrics_that_need_more_are_left_out(here: Path, capfd) -> None:
    metrics = "evaluate.metrics=[kid, {name: precision_recall, k: 9}]"
    trial = run(metrics, smoke=True)
    assert list(trial["scores"]) == ["kid"]
    assert "precision_recall is left out of this trial: " in capfd.readouterr().err


def test_a_schedule_that_ends_with_the_training_is_tried_too(here: Path, capfd) -> None:
    trial = run("train.lr_schedule={name: cosine, warmup_steps: 500}", smoke=True)
    assert trial["recipe"]["train"]["lr_schedule"]["warmup_steps"] == 500
    assert "made for" not in capfd.readouterr().err


@pytest.mark.slow
def test_the_quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trial = commands.run(ROOT / "recipes/quickstart.yaml", smoke=True, device="cpu")
    assert trial["scores"]["kid"]["protocol"]["num_fake"] == 4


def test_losses_of_two_batches_are_those_of_the_first(here: Path) -> None:
    whole, two = (
        commands.open_run(run("train.batch_size=2", *more)["folder"]).validations[-1].validation
        for more in ((), ("train.validate.max_batches=1",))
    )
    assert whole["loss"] != two["loss"]
