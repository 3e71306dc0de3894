"""Differences of squared MMDs to the same real images, with their joint variance.

The relative test of Bounliphone et al. 2016, https://arxiv.org/abs/1511.04581, for models whose
images are paired: row i of all sets is one draw w.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from pipeline import Difference

from .mmd import Sums, blocks, kernel, variance

METHOD = "joint U-statistic variance"


def differences(
    real: Tensor, models: Sequence[Sequence[Tensor]]
) -> dict[tuple[int, int], Difference]:
    """The second minus the first of each two models; each has a set (M, D) for every seed.

    With k̄ the mean over seeds, the mean difference of models y and z is one two-sample
    U-statistic of x (N, D) and w (M rows), for the real images' own kernel cancels:

        mean over i ≠ j of h(wᵢ, wⱼ) - 2 mean over i, j of g(xᵢ, wⱼ),
        h(w, w') = k̄(z, z') - k̄(y, y'),   g(x, w) = k̄(x, z) - k̄(x, y)

    of the form of ``mmd2``, so that its variance is that of ``mmd2``, terms of second order
    included: near equal distributions those of first order vanish and a test without them claims
    too much. Drawing rows again with replacement would put a row beside itself, where the kernel
    is largest, and so add to the value what the diagonal adds, which U-statistics leave out. The
    real images, which all seeds share, are one sample: more seeds do not average their error away.

    Each kernel is computed once for all pairs of models. Memory beyond the features is a block for
    each model.
    """
    n, m = len(real), len(models[0][0])
    pairs = list(combinations(range(len(models)), 2))
    own = {pair: Sums(real, m) for pair in pairs}
    cross = {pair: Sums(real, n, m) for pair in pairs}
    values = real.new_zeros(len(models), len(models[0]), dtype=torch.float64)
    for i, j in blocks(m):
        weight = (1 + (i != j)) / (m * (m - 1))
        means = [_mean(None, sets, i, j, weight, v) for sets, v in zip(models, values, strict=True)]
        for a, b in pairs:
            own[a, b].add(i, j, means[b] - means[a])
    for i, j in blocks(n, m):
        weight = -2 / (n * m)
        means = [_mean(real, sets, i, j, weight, v) for sets, v in zip(models, values, strict=True)]
        for a, b in pairs:
            cross[a, b].add(i, j, means[b] - means[a])
    return {(a, b): _difference(values[b] - values[a], own[a, b], cross[a, b]) for a, b in pairs}


def _mean(
    real: Tensor | None, sets: Sequence[Tensor], i: slice, j: slice, weight: float, values: Tensor
) -> Tensor:
    """The mean over sets of a block of the kernel, of each set with the real images or itself.

    Adds each block's weighted sum to ``values`` (S,), without the diagonal of a set with itself.
    """
    total: Tensor | None = None
    for index, x in enumerate(sets):
        block = kernel((x if real is None else real)[i], x[j])
        if real is None and i == j:
            block.fill_diagonal_(0)
        values[index] += weight * block.sum()
        total = block if total is None else total.add_(block)
    assert total is not None
    return total.div_(len(sets))


def _difference(by_pair: Tensor, own: Sums, cross: Sums) -> Difference:
    """The difference of two models; it has no standard error for fewer than 4 images."""
    value, n, m = float(by_pair.mean()), len(cross.rows), len(cross.columns)
    by_seed = tuple(by_pair.tolist())
    if min(n, m) < 4:
        return Difference(value, by_seed, None, "none: it needs 4 real and 4 generated images")
    squared = variance(Sums(by_pair, n), own, cross)
    error = math.sqrt(squared) if squared > 0 or value == 0 else None
    return Difference(value, by_seed, error, METHOD, min(n, m) - 1)
