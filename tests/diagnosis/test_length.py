"""Whether a training was long enough: from curves and scores as plain data, and of a run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.diagnosis.length import (
    barely_trained,
    far_scores,
    longer_command,
    longer_training,
    second_half,
)
from pipeline.records import HistoryRecord
from tests.helpers.tiny import main, run

QUICKSTART = [
    (50, 0.7155), (100, 0.613), (150, 0.5009), (200, 0.4567), (250, 0.4323), (300, 0.4215),
    (350, 0.4114), (400, 0.4057), (1250, 0.37), (2500, 0.3589),
]  # fmt: skip
"""Losses of ``residual_unet`` on the quickstart's drawings: validated often at first."""

LOWER = {"kid": {"higher_is_better": False, "ideal": 0.0}}


def history(points: Sequence[tuple[int, float]], zeros: float = 0.798) -> list[HistoryRecord]:
    return [
        HistoryRecord(
            step=step,
            epoch=step / 50,
            seconds=1.0,
            validation={"loss": loss},
            raw={"loss": loss + 0.01},
            loss_of_zeros=zeros,
        )
        for step, loss in points
    ]


def score(value: float) -> dict[str, Any]:
    return {"value": value, "protocol": {}}


def found(points: Sequence[tuple[int, float]], kid: float | None = None) -> Any:
    scores = {} if kid is None else {"kid": score(kid)}
    anchors = {"kid": {"real": score(0.09), "untrained": score(20.0)}}
    return barely_trained(history(points), scores, anchors, LOWER, "in {}".format)


@pytest.mark.parametrize(("steps", "times"), [(200, 19), (300, 9), (400, 6)])
def test_a_loss_that_still_falls_steeply_is_found(steps: int, times: int) -> None:
    points = [point for point in QUICKSTART if point[0] <= steps]
    finding = found(points)
    assert finding.name == "barely trained"
    assert f"after {steps} steps" in finding.what
    assert finding.do == f"Train about {times} times longer: in {times}"


def test_a_loss_that_has_settled_is_nothing_to_say() -> None:
    assert found(QUICKSTART, kid=5.07) is None
    assert second_half(history(QUICKSTART)) == pytest.approx(0.025, abs=0.001)


def test_between_validations_the_half_is_a_straight_line() -> None:
    assert second_half(history([(40, 0.5), (60, 0.3), (100, 0.2)], 1.0)) == pytest.approx(0.25)


def test_without_a_validation_in_the_first_half_the_loss_tells_nothing() -> None:
    assert second_half(history([(70, 0.5), (100, 0.2)])) is None
    assert second_half([]) is None
    assert second_half(history([(50, 0.9), (100, 0.85)])) is None  # not better than zeros


def test_a_score_near_the_untrained_networks_is_found() -> None:
    finding = found([(120, 0.55)], kid=16.9)
    assert "KID is 16.9, nearer to the 20.0 of an untrained network" in finding.what
    assert finding.do.startswith("Train about 10 times longer")
    assert found([(120, 0.55)], kid=9.9) is None


def test_a_score_of_which_more_is_better_tells_nothing() -> None:
    ends = {"precision_recall": {"real": score(0.9), "untrained": score(0.0)}}
    way = {"precision_recall": {"higher_is_better": True, "ideal": 1.0}}
    assert far_scores({"precision_recall": score(0.1)}, ends, way) == []
    assert far_scores({"kid": score(9)}, {}, LOWER) == []


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ({"epochs": 2, "max_steps": None}, {"train.epochs": 6}),
        ({"epochs": 50, "max_steps": 100}, {"train.max_steps": 300}),
        ({"epochs": 3, "max_steps": 100}, {"train.max_steps": 300, "train.epochs": 6}),
    ],
)
def test_what_makes_a_training_longer(limits: dict[str, Any], wanted: dict[str, int]) -> None:
    records = history([(100, 0.5)])
    assert longer_training(3, records, total_steps=None, **limits) == wanted
    assert longer_training(3, records, total_steps=2500, **limits) == wanted
    rate = {"train.lr_schedule.total_steps": 300}
    assert longer_training(3, records, total_steps=100, **limits) == wanted | rate


def test_the_command_has_each_value_once() -> None:
    command = "pipeline run a.yaml --set train.max_steps=7 --set seed=1 --name mine"
    longer = longer_command(command, {"train.max_steps": 70})
    assert longer == (
        "pipeline run a.yaml --set seed=1 --name mine-longer --set train.max_steps=70"
    )


@pytest.mark.parametrize("name", [None, "mine"])
def test_the_command_of_a_run_that_is_too_short_works(here: Path, name: str | None) -> None:
    many = ["train.validate.every=1 steps", "train.max_steps=4", "evaluate.num_images=40"]
    made = run(*many, name=name)
    [finding] = [f for f in made["diagnosis"] if f["name"] == "barely trained"]
    times, command = re.fullmatch(r"Train about (\d+) times longer: (.*)", finding["do"]).groups()  # type: ignore[union-attr]
    program, *words = shlex.split(command)
    assert program == "pipeline"
    assert main(*words, "--set", "train.validate.every=1000 steps", plugin=False) == 0
    [longer] = [f for f in Path("runs").glob("*/run.json") if f"max_steps: {4 * int(times)}" in
                (f.parent / "recipe.yaml").read_text()]  # fmt: skip
    assert longer.parent.name != made["name"]
