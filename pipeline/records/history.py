"""``history.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from .run import Plain, ScoreRecord

HISTORY = "history.jsonl"
"""The file of a run's validations, one a line."""


@dataclass(frozen=True, kw_only=True)
class HistoryRecord:
    """One validation: a line of ``history.jsonl``, where its names stand flat beside each other.

    Losses go by the objective's names, ``loss`` among them.
    """

    step: int
    epoch: float
    seconds: float
    """Training so far, without validations."""
    data_seconds: float = 0.0
    """The part of ``seconds`` that was spent waiting for images."""
    images_per_second: float = 0.0
    train: Mapping[str, float] = field(default_factory=dict)
    """Mean losses of the steps since the last regular validation."""
    highest_loss: float | None = None
    """The highest loss of one of these steps."""
    validation: Mapping[str, float] = field(default_factory=dict)
    """Losses of the averaged weights on validation images."""
    raw: Mapping[str, float] = field(default_factory=dict)
    """The same of the weights as they are."""
    loss_of_zeros: float | None = None
    """The validation loss of a network that always gives zeros."""
    scores: Mapping[str, ScoreRecord] = field(default_factory=dict)
    """Metrics of samples drawn with the averaged weights."""

    def flat(self) -> Plain:
        """The line as a mapping. InputError where names could not be told apart in it."""
        items = list(self._items())
        line = dict(items)
        if len(line) < len(items) or HistoryRecord.of(line) != self:
            losses, metrics = (", ".join(names) or "none" for names in (self.train, self.scores))
            raise InputError(
                f"history.jsonl cannot tell apart the losses ({losses}), the metrics ({metrics}) "
                "and its own names: call the loss, or the metric, something else"
            )
        return line

    def _items(self) -> Iterator[tuple[str, object]]:
        yield from (("step", self.step), ("epoch", self.epoch))
        yield from ((f"train_{name}", value) for name, value in self.train.items())
        if self.highest_loss is not None:
            yield "train_highest_loss", self.highest_loss
        for name in ("seconds", "data_seconds", "images_per_second"):
            yield name, getattr(self, name)
        yield from ((f"validation_{name}", value) for name, value in self.validation.items())
        if self.scores:
            yield "protocol", {name: score["protocol"] for name, score in self.scores.items()}
        for name, score in self.scores.items():
            yield name, score["value"]
            if "standard_error" in score:
                yield f"{name}_standard_error", score["standard_error"]
            yield from ((f"{name}_{part}", v) for part, v in score.get("parts", {}).items())
        yield from ((f"validation_raw_{name}", value) for name, value in self.raw.items())
        if self.loss_of_zeros is not None:
            yield "loss_of_zeros", self.loss_of_zeros

    @classmethod
    def of(cls, line: Plain) -> HistoryRecord:
        """The record of a line that ``flat`` made."""
        rest = dict(line)
        protocols = rest.pop("protocol", {})
        scores = {name: _score(name, rest, protocols) for name in sorted(protocols, key=len)[::-1]}
        raw, validation, train = (
            {name.removeprefix(head): rest.pop(name) for name in [*rest] if name.startswith(head)}
            for head in ("validation_raw_", "validation_", "train_")
        )
        highest = train.pop("highest_loss", None)
        return cls(
            train=train,
            highest_loss=highest,
            validation=validation,
            raw=raw,
            scores={name: scores[name] for name in protocols},
            **rest,
        )


def _score(name: str, rest: Plain, protocols: Mapping[str, Plain]) -> ScoreRecord:
    """Take a metric's values out of what is left of a line."""
    score = ScoreRecord(value=rest.pop(name), protocol=protocols[name])
    head = f"{name}_"
    parts = {
        key.removeprefix(head): rest.pop(key)
        for key in list(rest)
        if key.startswith(head) and key not in protocols
    }
    if "standard_error" in parts:
        score["standard_error"] = parts.pop("standard_error")
    if parts:
        score["parts"] = parts
    return score


def read_history(folder: Path) -> list[HistoryRecord]:
    """The validations that ``history.jsonl`` in this folder holds, oldest first."""
    file = folder / HISTORY
    try:
        lines = file.read_bytes().splitlines() if file.exists() else []
        return [HistoryRecord.of(json.loads(line)) for line in lines]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is damaged: {error!r}; run the recipe again") from error
