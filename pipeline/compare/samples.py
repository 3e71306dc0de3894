"""How sure a difference of these networks is, of finitely many images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..plugin.contracts import Metric, PairedMetric
from ..plugin.difference import Difference
from ..plugin.rows import RowMetric, Rows
from ..progress import track

GROUPS = 20
"""Left out in turn: t then has 19 degrees of freedom, an interval 7 % wider than with many."""
SEED = 0
"""Decides the order in which images are put into groups."""

Sets = Sequence[Rows]
"""A model's features (M, D), one set for each training seed."""


def difference(metric: Metric, real: Rows, pairs: Sequence[tuple[Rows, Rows]]) -> Difference:
    """The second of each pair against the first, by features; real features are (N, D).

    A pair is of one training seed; see ``model_differences``.
    """
    first, second = zip(*pairs, strict=True)
    return model_differences(metric, real, [first, second])[0, 1]


def model_differences(
    metric: Metric, real: Rows, models: Sequence[Sets]
) -> dict[tuple[int, int], Difference]:
    """For each two models (a, b), a < b: b's value minus a's, the mean over training seeds.

    Row i of every set is drawn from the same starting noise: all sets have M rows, and a row of all
    of them is one draw. The real features (N, D) are the same for all: more seeds do not make them
    more. The metric's own ``differences`` is used where it has one, else a jackknife.

    Raises InputError for unequal numbers of images or seeds, and where the metric does.
    """
    _check(models)
    own = None
    if isinstance(metric, PairedMetric):
        given = (real, models) if isinstance(metric, RowMetric) else _in_memory(real, models)
        own = metric.differences(*given)
    return jackknife(metric, real, models) if own is None else own


def _in_memory(real: Rows, models: Sequence[Sets]) -> tuple[Tensor, list[list[Tensor]]]:
    return real[:], [[fake[:] for fake in sets] for sets in models]


def jackknife(
    metric: Metric, real: Rows, models: Sequence[Sets]
) -> dict[tuple[int, int], Difference]:
    """The ``model_differences`` of any metric, from its values without a group of images.

    Images are put at random into 20 groups of equal size; a few may remain, and always stay in. The
    g-th group of all sets and the g-th of the real images are left out together: one unit of 20
    independent ones. The spread times (M - m)²/(mM), with m in a group, is the variance where the
    value is linear in the images; of what is not linear it holds more than there is (Efron and
    Stein 1981): near equal distributions intervals are too wide, never too narrow. For a metric
    without smooth derivatives, such as precision and recall, groups are right where single images
    are not (Shao and Wu 1989). A bootstrap would draw images twice, which metrics of neighbours or
    pairs take for images that are alike.

    Costs 21 evaluations of the metric for each set. A metric that draws subsets adds its own
    randomness: the error is too large, never too small. All features are in memory.
    """
    real, models = _in_memory(real, models)
    values = _values(metric, real, models)
    if min(len(models[0][0]), len(real) if _sees_real(metric) else math.inf) < 2 * GROUPS:
        return _plain(values, f"none: a jackknife of {GROUPS} groups needs {2 * GROUPS} images")
    try:
        without = _without_groups(metric, real, models)
    except InputError as error:  # fewer images than the metric takes
        return _plain(values, f"none: without a twentieth of the images, {error}")
    scale = _scale(len(models[0][0]))
    if _sees_real(metric):
        scale = max(scale, _scale(len(real)))
    return {
        (a, b): _from_spread(values[b] - values[a], (without[:, b] - without[:, a]).mean(1), scale)
        for a, b in combinations(range(len(models)), 2)
    }


def _from_spread(by_pair: Tensor, without: Tensor, scale: float) -> Difference:
    """A difference from its values for each seed, and its means without each group."""
    error = math.sqrt(scale * float(without.var()))
    method = f"jackknife of {GROUPS} groups of images"
    values = tuple(by_pair.tolist())
    return Difference(float(by_pair.mean()), values, error, method, GROUPS - 1)


def _values(metric: Metric, real: Tensor, models: Sequence[Sequence[Tensor]]) -> Tensor:
    """The value of each set: (models, seeds)."""
    return torch.tensor(
        [[metric(real, fake).value for fake in sets] for sets in models], dtype=torch.float64
    )


def _without_groups(metric: Metric, real: Tensor, models: Sequence[Sequence[Tensor]]) -> Tensor:
    """Values without each group: (GROUPS, models, seeds)."""
    kept, kept_real = _kept(len(models[0][0])), _kept(len(real))
    values = []
    for group in track(range(GROUPS), "standard errors, group", GROUPS):
        left = real[kept_real[group]] if _sees_real(metric) else real
        fewer = [[fake[kept[group]] for fake in sets] for sets in models]
        values.append(_values(metric, left, fewer))
    return torch.stack(values)


def _kept(count: int) -> list[Tensor]:
    """The rows that stay when a group is left out, for each group."""
    order = torch.from_numpy(np.random.default_rng(SEED).permutation(count))
    size = count // GROUPS
    return [torch.cat([order[: g * size], order[(g + 1) * size :]]) for g in range(GROUPS)]


def _scale(count: int) -> float:
    """From the variance of a mean's values without a group to the variance of the mean."""
    size = count // GROUPS
    return (count - size) ** 2 / (size * count)


def _plain(values: Tensor, method: str) -> dict[tuple[int, int], Difference]:
    """Without standard errors."""
    differences = {}
    for a, b in combinations(range(len(values)), 2):
        by_pair = values[b] - values[a]
        mean = float(by_pair.mean())
        differences[a, b] = Difference(mean, tuple(by_pair.tolist()), None, method)
    return differences


def _sees_real(metric: Metric) -> bool:
    return metric.ideal is not None


def _check(models: Sequence[Sets]) -> None:
    counts = sorted({len(fake) for sets in models for fake in sets})
    if len(counts) != 1:
        raise InputError(
            f"images are paired by their starting noise, but sets have {counts} of them; "
            "sample as many from each model"
        )
    seeds = sorted({len(sets) for sets in models})
    if len(seeds) != 1:
        raise InputError(f"models are paired by training seed, but have {seeds} of them")
