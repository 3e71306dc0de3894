"""Differences of squared MMDs to the same real images, with their joint variance.

The relative test of Bounliphone et al. 2016, https://arxiv.org/abs/1511.04581, for models whose
images are paired: row i of all sets is one draw w.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline import Difference, Rows

from .blocks import mean, part
from .kernel import Kernel, Shifted, blocks
from .mmd import Sums, variance
from .precision import economical

METHOD = "joint U-statistic variance"


def differences(real: Rows, models: Sequence[Sequence[Rows]]) -> dict[tuple[int, int], Difference]:
    """The second minus the first of each two models; each has a set (M, D) for every seed.

    With k̄ the mean over seeds, the mean difference of models y and z is one two-sample
    U-statistic of x (N, D) and w (M rows), for the real images' own kernel cancels:

        mean over i ≠ j of h(wᵢ, wⱼ) - 2 mean over i, j of g(xᵢ, wⱼ),
        h(w, w') = k̄(z, z') - k̄(y, y'),   g(x, w) = k̄(x, z) - k̄(x, y)

    of the form of the squared MMD, so that its variance is ``mmd.variance``, terms of second order
    included: near equal distributions those of first order vanish and a test without them claims
    too much. Drawing rows again with replacement would put a row beside itself, where the kernel
    is largest, and so add to the value what the diagonal adds, which U-statistics leave out. The
    real images, which all seeds share, are one sample: more seeds do not average their error away.

    Each kernel is computed once for all pairs of models. Memory beyond the features is a few blocks
    for each set.
    """
    n, m = len(real), len(models[0][0])
    found = economical(
        lambda rows, dtype: _all(
            part(real, rows), [[part(x, rows) for x in sets] for sets in models], dtype
        ),
        min(n, m),
    )
    return {
        pair: _difference(by_seed, spread, n, m)
        for pair, by_seed, spread in zip(found.pairs, found.by_seed, found.spread, strict=True)
    }


class _Differences(NamedTuple):
    """All pairs of models: differences for each seed, and the variance of their mean or 0."""

    pairs: list[tuple[int, int]]
    by_seed: list[Tensor]
    spread: list[float]

    def values(self) -> Tensor:
        """Differences for each seed and then their mean, pair after pair."""
        return torch.cat([torch.cat([x, x.mean()[None]]) for x in self.by_seed])

    def variances(self) -> Tensor:
        """The variance of the mean, for each of ``values``."""
        spread = torch.tensor(self.spread, dtype=torch.float64)
        return spread.repeat_interleave(len(self.by_seed[0]) + 1)


def _all(real: Rows, models: Sequence[Sequence[Rows]], dtype: torch.dtype) -> _Differences:
    pairs, origin = list(combinations(range(len(models)), 2)), mean(real)
    x = Shifted(real, origin, dtype)
    sets = [[Shifted(w, origin, dtype) for w in model] for model in models]
    own = [[Kernel(w) for w in model] for model in sets]
    cross = [[Kernel(x, w) for w in model] for model in sets]
    h, g = _sums(own, pairs), _sums(cross, pairs)
    values = [
        torch.tensor(
            [w.mean() - 2 * xw.mean() for w, xw in zip(*kernels, strict=True)], dtype=torch.float64
        )
        for kernels in zip(own, cross, strict=True)
    ]
    enough = min(cross[0][0].shape) >= 4
    none = Sums(x.total, len(real))
    return _Differences(
        pairs,
        [values[b] - values[a] for a, b in pairs],
        [variance(none, h[pair], g[pair]) if enough else 0.0 for pair in pairs],
    )


def _sums(
    kernels: Sequence[Sequence[Kernel]], pairs: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], Sums]:
    """The sums of the difference of each pair's kernels, which are means over seeds."""
    first = kernels[0][0]
    n, m = first.shape[0], None if first.symmetric else first.shape[1]
    sums = {pair: Sums(first.like, n, m) for pair in pairs}
    for i, j in blocks(n, m):
        means = [_mean(model, i, j) for model in kernels]
        for a, b in pairs:
            sums[a, b].add(i, j, means[b] - means[a])
    return sums


def _mean(kernels: Sequence[Kernel], i: slice, j: slice) -> Tensor:
    """A block of the mean of kernels."""
    total = kernels[0].block(i, j)
    for kernel in kernels[1:]:
        total += kernel.block(i, j)
    return total.div_(len(kernels))


def _difference(by_seed: Tensor, spread: float, n: int, m: int) -> Difference:
    """The difference of two models; it has no standard error for fewer than 4 images."""
    value = float(by_seed.mean())
    if min(n, m) < 4:
        reason = "none: it needs 4 real and 4 generated images"
        return Difference(value, tuple(by_seed.tolist()), None, reason)
    error = math.sqrt(spread) if spread > 0 or value == 0 else None
    return Difference(value, tuple(by_seed.tolist()), error, METHOD, min(n, m) - 1)
