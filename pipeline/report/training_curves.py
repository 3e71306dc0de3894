"""The curves of a run's history: losses, scores and speed by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from . import wording
from .curves import Curves, Series, curves

Record = Mapping[str, Any]

KINDS = (
    ("train_", "training"),
    ("validation_", "validation, averaged weights (EMA)"),
    ("validation_raw_", "validation, raw weights"),
)
"""What a loss was measured on, by the beginning of its name."""


def charts(
    history: Sequence[Record], directions: Mapping[str, Mapping[str, Any]], batch_size: int
) -> list[Curves]:
    """One chart for each loss and score, then the speed."""
    made = [_loss(history, name) for name in losses(history)]
    made += [_score(history, name, directions.get(name)) for name in scores_in(history)]
    return made + _speeds(history, batch_size)


def losses(history: Sequence[Record]) -> list[str]:
    """Names such as ``noise_loss``; ``loss`` where it is not just one of the others."""
    found = dict.fromkeys(
        name.removeprefix("validation_")
        for record in history
        for name in record
        if name.startswith("validation_") and not name.startswith("validation_raw_")
    )
    others = [name for name in found if name != "loss"]
    same = any(
        all(r.get(f"validation_{name}") == r.get("validation_loss") for r in history)
        for name in others
    )
    return others if same else list(found)


def scores_in(history: Sequence[Record]) -> list[str]:
    """Metrics that were measured during training."""
    return list(dict.fromkeys(name for record in history for name in record.get("protocol", {})))


def _loss(history: Sequence[Record], name: str) -> Curves:
    series = [
        _series(history, prefix + name, label, style)
        for style, (prefix, label) in enumerate(KINDS, start=1)
        if any(prefix + name in record for record in history)
    ]
    return curves(wording.words(name).capitalize(), series)


def _score(history: Sequence[Record], name: str, direction: Mapping[str, Any] | None) -> Curves:
    label = f"{name} of samples drawn while training"
    series = _series(history, name, label, 2, error=f"{name}_standard_error")
    notes = ["band: 95 % interval"] if series.errors else []
    notes += [wording.better(direction)] if direction else []
    return curves(name, [series], note="; ".join(notes))


def _series(
    history: Sequence[Record], name: str, label: str, style: int, error: str = ""
) -> Series:
    there = [record for record in history if name in record]
    sure = error and all(error in record for record in there)
    return Series(
        label,
        [record["step"] for record in there],
        [record[name] for record in there],
        [wording.NORMAL * record[error] for record in there] if sure else (),
        style,
    )


def _speeds(history: Sequence[Record], batch_size: int) -> list[Curves]:
    """Between validations, so that a slow stretch shows."""
    start = {"step": 0, "seconds": 0.0, "data_seconds": 0.0}
    pairs = [
        (a, b)
        for a, b in pairwise([start, *history])
        if b["step"] > a["step"] and b["seconds"] > a["seconds"]
    ]
    if not pairs:
        return []
    steps = [b["step"] for _, b in pairs]

    def rate(of: Callable[[Record], float], per: Callable[[Record], float]) -> list[float]:
        return [(of(b) - of(a)) / (per(b) - per(a)) for a, b in pairs]

    speed = rate(lambda r: r["step"] * batch_size, lambda r: r["seconds"])
    took = rate(lambda r: r["seconds"], lambda r: r["step"])
    series = [Series("all of a step", steps, took, style=1)]
    if all("data_seconds" in record for record in history):
        waited = rate(lambda r: r["data_seconds"], lambda r: r["step"])
        series.append(Series("waiting for data", steps, waited, style=2))
    images = Series("images a second in training", steps, speed, style=1)
    return [
        curves("Seconds a step", series, "s", from_zero=True),
        curves("Training speed", [images], "images/s", from_zero=True),
    ]
