"""The curves of a run's history: losses, scores and speed by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from ..format import REACH, metric_name
from ..records import DirectionRecord, HistoryRecord, ScoreRecord
from . import wording
from .curves import Curves, Series, curves

History = Sequence[HistoryRecord]

SIDES: tuple[tuple[str, Callable[[HistoryRecord], Mapping[str, float]]], ...] = (
    ("training", lambda record: record.train),
    ("validation, averaged weights (EMA)", lambda record: record.validation),
    ("validation, raw weights", lambda record: record.raw),
)
"""What a loss was measured on, in the order of the lines' styles."""


def training_charts(
    history: History, directions: Mapping[str, DirectionRecord], images_per_step: int
) -> list[Curves]:
    """One chart for each loss and metric, then the speed."""
    losses = [_loss_chart(history, name) for name in loss_names(history)]
    scores = [_score_chart(history, name, directions.get(name)) for name in metric_names(history)]
    return losses + scores + _speed_charts(history, images_per_step)


def loss_names(history: History) -> list[str]:
    """Losses that were validated, such as ``noise_loss``; ``loss`` if it equals none of them."""
    names = list(dict.fromkeys(name for record in history for name in record.validation))
    others = [name for name in names if name != "loss"]
    return others if any(_is_the_loss(history, name) for name in others) else names


def _is_the_loss(history: History, name: str) -> bool:
    return all(r.validation.get(name) == r.validation.get("loss") for r in history)


def metric_names(history: History) -> list[str]:
    """Metrics that were measured during training."""
    return list(dict.fromkeys(name for record in history for name in record.scores))


def _loss_chart(history: History, name: str) -> Curves:
    series = []
    for style, (label, losses) in enumerate(SIDES, start=1):
        records = [record for record in history if name in losses(record)]
        if records:
            values = [losses(record)[name] for record in records]
            series.append(Series(label, _steps(records), values, style=style))
    return curves(wording.spaced(name).capitalize(), series)


def _score_chart(history: History, name: str, direction: DirectionRecord | None) -> Curves:
    records = [record for record in history if name in record.scores]
    scores = [record.scores[name] for record in records]
    series = Series(
        f"{metric_name(name)} of samples drawn while training",
        _steps(records),
        [score["value"] for score in scores],
        _reaches(scores),
        style=2,
    )
    notes = ["band: 95 % interval"] if series.reaches else []
    notes += [wording.direction_words(direction)] if direction else []
    return curves(metric_name(name), [series], note="; ".join(notes))


def _reaches(scores: Sequence[ScoreRecord]) -> list[float]:
    """Half the widths of the scores' intervals; empty where a score has no standard error."""
    errors = [score["standard_error"] for score in scores if "standard_error" in score]
    return [REACH * error for error in errors] if len(errors) == len(scores) else []


def _speed_charts(history: History, images_per_step: int) -> list[Curves]:
    """Speed between validations, so that a slow stretch shows."""
    start = HistoryRecord(step=0, epoch=0.0, seconds=0.0)
    pairs = [
        (a, b) for a, b in pairwise([start, *history]) if b.step > a.step and b.seconds > a.seconds
    ]
    if not pairs:
        return []
    steps = _steps([b for _, b in pairs])
    took = [(b.seconds - a.seconds) / (b.step - a.step) for a, b in pairs]
    waited = [(b.data_seconds - a.data_seconds) / (b.step - a.step) for a, b in pairs]
    speed = [images_per_step * (b.step - a.step) / (b.seconds - a.seconds) for a, b in pairs]
    all_of_it = Series("all of a step", steps, took, style=1)
    waiting = Series("waiting for data", steps, waited, style=2)
    images = Series("images a second in training", steps, speed, style=1)
    return [
        curves("Seconds a step", [all_of_it, waiting], "s", from_zero=True),
        curves("Training speed", [images], "images/s", from_zero=True),
    ]


def _steps(records: History) -> list[int]:
    return [record.step for record in records]
