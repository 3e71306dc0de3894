"""Diagnosis: what is wrong with a training or a run, in words, and what to do about it.

Every finding is a pure function of what was measured anyway, in ``diagnosing/``. The thresholds
are there, each with its reason: a healthy run has no finding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import Failed
from ..progress import note
from . import curves
from .curves import History
from .finding import Finding

if TYPE_CHECKING:
    from ..plugin.contracts import Score
    from ..recipe.schema import Ema, Recipe
    from ..store.store import Artifact

ENOUGH = 512
"""Images of each side whose spread, contrast and saturation are compared."""


class Diverged(Failed):
    """Training came to numbers that are not finite."""

    def __init__(self, what: str, step: int) -> None:
        self.finding = Finding(
            "not finite",
            f"{what} by step {step}; the last checkpoint before stands.",
            "Lower train.optimizer.lr or set train.clip_gradients.",
        )
        super().__init__(f"{self.finding.what} {self.finding.do}")


def of_training(history: History, ema: Ema) -> list[Finding]:
    """What the records of a training tell, the oldest first; nothing of none."""
    if not history:
        return []
    found = [
        curves.predicting_zero(history),
        curves.average_not_warm(history, ema),
        curves.overfitting(history),
        curves.rate_too_high(history),
        curves.waiting_for_data(history),
        *curves.untrusted_metrics(history),
    ]
    return [finding for finding in found if finding]


def of_run(
    recipe: Recipe, made: Mapping[str, Artifact], scores: Mapping[str, Score]
) -> list[Finding]:
    """What a finished run's history, samples, neighbours and scores tell."""
    from ..artifacts.neighbours import read_neighbours
    from ..artifacts.prepare import FILE
    from ..artifacts.sample import read_samples
    from ..diffusion.images import Images, evenly
    from . import pictures

    text = (made["model"].path / "history.jsonl").read_text()
    history = [json.loads(line) for line in text.splitlines()]
    images = Images(made["images"].path / FILE)
    held = images.indices("validation")
    real = images.batch(held[evenly(len(held), ENOUGH)])
    samples = read_samples(made.get("scored samples", made["samples"]))[:ENOUGH]
    found = [
        pictures.all_alike(samples, real),
        pictures.washed_out(samples, real),
        pictures.copying(read_neighbours(made["neighbours"])),
    ]
    found += [
        curves.too_few(name, score.protocol, "evaluate.num_images")
        for name, score in scores.items()
    ]
    told = of_training(history, recipe.train.ema)
    return [*told, *(finding for finding in found if finding)]


def say_news(history: History, ema: Ema) -> None:
    """A note on what the last record shows and the one before did not."""
    known = {finding.name for finding in of_training(history[:-1], ema)}
    for finding in of_training(history, ema):
        if finding.name not in known:
            note(str(finding))
