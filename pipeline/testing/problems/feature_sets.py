"""Sets of features that checks give to metrics, and what a metric makes of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ...errors import InputError
from ...plugin.contracts import Metric
from ...plugin.values import Score
from ..context import Wrong

DIM, COUNT = 8, 256
"""Features of an image, and images of a usual set."""
WIDE = 71
"""Features of an image where many are given."""
DISTANCES = (0.0, 0.5, 1.0, 2.0)
"""How far means lie apart, in deviations of each feature; for logits, how unclear classes are."""
SIZES = (16, 32, 64, 128, 256, 512)
"""Sizes of small sets, of which the first that a metric takes is used."""


class NoTensor:
    """Features that have what ``Rows`` have, and nothing else."""

    def __init__(self, x: Tensor) -> None:
        self._x, self.shape = x, tuple(x.shape)

    def __len__(self) -> int:
        return len(self._x)

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        return self._x[rows].clone()


def feature_sets(
    stage: Metric, n: int, m: int, seed: int, distance: float, width: int = DIM
) -> tuple[Tensor, Tensor]:
    """Features of n real and m generated images, float32; other ones for each seed."""
    draw = torch.Generator().manual_seed(seed)
    real, fake = (torch.randn(count, width, generator=draw) for count in (n, m))
    if not wants_logits(stage):
        return real, fake + distance
    clear = 6 * (1 - distance / DISTANCES[-1])
    classes = torch.nn.functional.one_hot(torch.arange(m) % width, width)
    return real, 0.1 * fake + clear * classes[torch.randperm(m, generator=draw)]


def wants_logits(stage: Metric) -> bool:
    """Whether the metric needs the logits of classes."""
    return getattr(stage, "needs", None) == "logits"


def scale_of(stage: Metric) -> float:
    """How much the value changes from equal sets to those one deviation apart."""
    near, far = (
        stage(*feature_sets(stage, COUNT, COUNT, 1, distance)).value for distance in (0.0, 1.0)
    )
    return abs(far - near)


def fewest(stage: Metric) -> int:
    """The smallest set that the metric takes, of a few sizes."""
    for count in SIZES:
        if score_or_none(partial(stage, *feature_sets(stage, count, count, 0, 0))):
            return count
    raise Wrong(f"it refuses sets of {SIZES[-1]} images; declare an example that takes fewer")


def score_or_none(score: Callable[[], Score]) -> Score | None:
    """What the metric says; None where it refuses."""
    try:
        return score()
    except InputError:
        return None


def mean_value(stage: Metric, count: int, seed: int, distance: float, pairs: int) -> float:
    """The mean over so many pairs of sets of ``count`` images."""
    sets = (feature_sets(stage, count, count, seed + i, distance) for i in range(pairs))
    return statistics.fmean(stage(*pair).value for pair in sets)


def sorted_by_first(x: Tensor) -> Tensor:
    """Images sorted by their first feature, as they often come sorted by class."""
    return x[x[:, 0].argsort()]
