"""Sets of features that checks give to metrics, and what a metric makes of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ...errors import InputError
from ...plugin.contracts import Metric, Score
from ..core import Wrong

DIM, COUNT = 8, 256
DISTANCES = (0.0, 0.5, 1.0, 2.0)
"""Of the means, in deviations of every feature; of logits, how much less clear the class is."""
FEW = (16, 32, 64, 128, 256, 512)
"""Sizes of small sets, of which the first that a metric takes is used."""


def drawn(stage: Metric, n: int, m: int, seed: int, distance: float) -> tuple[Tensor, Tensor]:
    """Features of n real and m generated images, float32, always different ones."""
    draw = torch.Generator().manual_seed(seed)
    real, fake = (torch.randn(count, DIM, generator=draw) for count in (n, m))
    if not of_logits(stage):
        return real, fake + distance
    clear = 6 * (1 - distance / DISTANCES[-1])
    classes = torch.nn.functional.one_hot(torch.arange(m) % DIM, DIM)
    return real, 0.1 * fake + clear * classes[torch.randperm(m, generator=draw)]


def of_logits(stage: Metric) -> bool:
    """Whether it needs the logits of classes."""
    return getattr(stage, "needs", None) == "logits"


def scale(stage: Metric) -> float:
    """From equal sets to those one deviation apart: the scale of its values."""
    near, far = (stage(*drawn(stage, COUNT, COUNT, 1, distance)).value for distance in (0.0, 1.0))
    return abs(far - near)


def fewest(stage: Metric) -> int:
    """How many images it takes at least, of a few sizes."""
    for count in FEW:
        if tried(partial(stage, *drawn(stage, count, count, 0, 0))):
            return count
    raise Wrong(f"it refuses sets of {FEW[-1]} images; declare an example that takes fewer")


def tried(score: Callable[[], Score]) -> Score | None:
    """None where it refuses."""
    try:
        return score()
    except InputError:
        return None


def mean_value(stage: Metric, count: int, seed: int, distance: float, pairs: int) -> float:
    """Over pairs of sets of ``count`` images."""
    sets = (drawn(stage, count, count, seed + i, distance) for i in range(pairs))
    return statistics.fmean(stage(*pair).value for pair in sets)


def by_first(x: Tensor) -> Tensor:
    """By the first feature, as images may be by class."""
    return x[x[:, 0].argsort()]
