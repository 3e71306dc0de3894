"""Losses and metrics that a plugin names as the engine names its own things."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import InputError
from pipeline.commands import open_run
from pipeline.records import HistoryRecord, ScoreRecord
from pipeline.training.validate import Measure, names_of
from pipeline_metrics.kid import KID
from tests.helpers.tiny import history, main, run, same, trained
from tests.helpers.tiny_stages import Projection

WATCHING = "objective=watching"

NEW = ("train_steps", "train_highest", "validation_steps", "validation_highest",
       "validation_raw_steps", "validation_raw_highest")  # fmt: skip


def assert_all_is_told(found: dict[str, Any], first: dict[str, Any]) -> None:
    """The objective's own losses are right, and nothing else differs from a run without them."""
    lines = history(found)
    assert [line["step"] for line in lines] == [3, 6, 7]
    assert [line["train_steps"] for line in lines] == [2, 5, 7], "means of 1 to 3, 4 to 6, and 7"
    assert [line["train_highest"] for line in lines] == [-2, -5, -7]
    for line, usual in zip(lines, history(first), strict=True):
        assert line["validation_steps"] == line["validation_raw_steps"] == 1, "of one batch"
        assert line["validation_highest"] == line["validation_raw_highest"] == -1
        assert {name: value for name, value in line.items() if name not in NEW} == usual
    records = open_run(found["folder"]).validations
    for record, line in zip(records, lines, strict=True):
        assert record.train["steps"] == line["train_steps"]
        assert record.highest_loss == line["train_highest_loss"] >= record.train["loss"]
        assert set(record.scores) == {"kid"}


def test_losses_called_steps_and_highest_are_told(here: Path, first: dict[str, Any]) -> None:
    found = run(WATCHING, name="tiny")
    assert_all_is_told(found, first)
    assert same(trained(found), trained(first))


def test_losses_called_steps_and_highest_survive_a_stop(
    here: Path, first: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    named = ["run", "tiny.yaml", "--set", WATCHING, "--name", "tiny", "--device", "cpu"]
    assert main(*named, "--set", "augment.trip.step=4") == 143
    assert "stopped at step 5, saved" in capfd.readouterr().err, "between two validations"
    found = run(WATCHING, name="tiny")
    assert "training goes on from step 5" in capfd.readouterr().err
    assert_all_is_told(found, first)
    assert same(trained(found), trained(first))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("train.validate.metrics=[kid, step]", r"the metrics \(kid, step\)"),
        (
            "objective={name: watching, losses: [highest_loss]}",
            r"the losses \(loss, noise_loss, image_loss, highest_loss\)",
        ),
        ("objective={name: watching, losses: [raw_loss]}", "call the loss, or the metric, someth"),
    ],
)
def test_names_that_clash_are_refused_in_the_first_step(here: Path, change: str, told: str) -> None:
    # In its second step the training would be stopped.
    with pytest.raises(InputError, match=told):
        run(change, "augment.trip.step=1", "train.validate.every=1 step", name="tiny")
    assert not Path("runs/tiny/history.jsonl").exists()
    assert not list(Path(".pipeline/workspaces").rglob("step-*.json"))


def test_names_that_clash_are_refused_in_the_first_step_after_a_stop(here: Path) -> None:
    run("train.max_steps=4", name="tiny")
    with pytest.raises(InputError, match=r"the metrics \(step\)"):
        run("train.validate.metrics=[step]", "augment.trip.step=5", name="tiny", replace=True)


def record(losses: tuple[str, ...], *scores: str) -> HistoryRecord:
    """A validation with losses and scores of these names, all of different values."""
    train = {name: 0.1 + i for i, name in enumerate(losses)}
    return HistoryRecord(
        step=9,
        epoch=1.5,
        seconds=60.0,
        train=train,
        highest_loss=8.0,
        validation={name: 0.2 + i for i, name in enumerate(losses)},
        raw={name: 0.3 + i for i, name in enumerate(losses)},
        loss_of_zeros=0.8,
        scores={
            name: ScoreRecord(
                value=0.4 + i, standard_error=0.5 + i, parts={"a": 0.6}, protocol={"n": i}
            )
            for i, name in enumerate(scores)
        },
    )


@pytest.mark.parametrize(
    ("losses", "scores"),
    [
        (("loss",), ()),
        (("loss", "noise_loss", "image_loss"), ("kid", "kid_2", "fid")),
        (("loss", "steps", "highest", "seconds", "step", "count"), ("model", "samples")),
        (("loss",), ("best", "zeros", "validations", "losses")),
    ],
)
def test_a_line_of_history_gives_its_record_back(
    losses: tuple[str, ...], scores: tuple[str, ...]
) -> None:
    kept = record(losses, *scores)
    again = HistoryRecord.of(kept.flat())
    assert again == kept
    assert list(again.scores) == list(scores)


CLASH = [
    (("loss", "highest_loss"), ()),
    (("loss", "raw_loss"), ()),
    (("loss",), ("step",)),
    (("loss",), ("seconds",)),
    (("loss",), ("protocol",)),
    (("loss",), ("loss_of_zeros",)),
    (("loss",), ("loss",)),
    (("loss",), ("train_loss",)),
    (("loss",), ("train",)),
    (("loss",), ("validation_loss",)),
]
"""Names of losses and metrics that a line cannot tell apart from each other or its own."""


@pytest.mark.parametrize(("losses", "scores"), CLASH)
def test_names_alone_are_refused(losses: tuple[str, ...], scores: tuple[str, ...]) -> None:
    measures = [
        Measure(name, KID(), Projection()(), torch.empty(0), Projection()) for name in scores
    ]
    with pytest.raises(InputError, match=r"history\.jsonl cannot tell apart"):
        names_of(dict.fromkeys(losses), measures).flat()


@pytest.mark.parametrize(
    ("losses", "scores"),
    [*CLASH, (("loss",), ("kid", "kid_a")), (("loss",), ("kid", "kid_standard_error"))],
)
def test_a_record_that_its_line_would_not_give_back_is_refused(
    losses: tuple[str, ...], scores: tuple[str, ...]
) -> None:
    with pytest.raises(InputError, match=r"history\.jsonl cannot tell apart"):
        record(losses, *scores).flat()
