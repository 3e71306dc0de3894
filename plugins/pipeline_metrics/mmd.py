"""Squared maximum mean discrepancy of two samples, unbiased, and the variance of this estimate.

Gretton et al. 2012, https://jmlr.org/papers/v13/gretton12a.html. A block at a time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline import Rows

from .blocks import mean
from .kernel import Kernel, Shifted, blocks


class Sums:
    """Sums of rows, columns and squares of a matrix that is added a block at a time.

    A symmetric one (no ``m``) is given by the blocks of its upper half, with a diagonal of 0.
    """

    def __init__(self, like: Tensor, n: int, m: int | None = None) -> None:
        self.symmetric = m is None
        self.rows = like.new_zeros(n, dtype=torch.float64)
        self.columns = self.rows if m is None else like.new_zeros(m, dtype=torch.float64)
        self._squares = like.new_zeros((), dtype=torch.float64)

    def add(self, i: slice, j: slice, block: Tensor) -> None:
        """Add the block of rows i and columns j."""
        self.rows[i] += block.sum(1)
        if not self.symmetric or i != j:
            self.columns[j] += block.sum(0)
        self._squares += (1 + (self.symmetric and i != j)) * torch.linalg.vector_norm(block) ** 2

    @property
    def squares(self) -> float:
        """The sum of the squares of all elements."""
        return float(self._squares)


class Estimate(NamedTuple):
    """The squared MMD and the variance of this estimate, 0 where there are fewer than 4 rows."""

    value: float
    variance: float

    def values(self) -> Tensor:
        """(1,)"""
        return torch.tensor([self.value], dtype=torch.float64)

    def variances(self) -> Tensor:
        """(1,)"""
        return torch.tensor([self.variance], dtype=torch.float64)


def estimate(real: Rows, fake: Rows, dtype: torch.dtype = torch.float64) -> Estimate:
    """The unbiased squared MMD (eq. 3) of (N, D) and (M, D), with products in ``dtype``."""
    origin = mean(real)
    x, y = (Shifted(side, origin, dtype) for side in (real, fake))
    kernels = Kernel(x), Kernel(y), Kernel(x, y)
    xx, yy, xy = map(_sums, kernels)
    within_x, within_y, across = (kernel.mean() for kernel in kernels)
    spread = variance(xx, yy, xy) if min(len(real), len(fake)) >= 4 else 0.0
    return Estimate(within_x + within_y - 2 * across, spread)


def _sums(kernel: Kernel) -> Sums:
    n, m = kernel.shape
    sums = Sums(kernel.like, n, None if kernel.symmetric else m)
    for i, j in blocks(n, None if kernel.symmetric else m):
        sums.add(i, j, kernel.block(i, j))
    return sums


def variance(xx: Sums, yy: Sums, xy: Sums) -> float:
    """Estimate of the variance of the squared MMD, with N, M >= 4, equal or not.

    By Hoeffding's decomposition, with φ, ψ the centred features of the kernel of the two sets and
    δ the difference of their means, whose parts are uncorrelated,

        Var = 4/N Var<φ, δ> + 4/M Var<ψ, δ> + 2/(N(N-1)) E<φ, φ'>² + 2/(M(M-1)) E<ψ, ψ'>²
              + 4/(NM) E<φ, ψ>²

    of which the first two vanish when the distributions are equal. Each expectation is estimated
    by the mean over distinct indices, as in Sutherland and Deka 2019,
    https://arxiv.org/abs/1906.02104, who treat N = M. Estimates of the first two may fall below
    0 and count as 0 then: near equal distributions the result is a little too large, never nothing.

    Nothing but the form of eq. 3 is used: three matrices of functions of two rows, the first two
    symmetric.
    """
    n, m = len(xy.rows), len(xy.columns)
    x, y = _within(xx), _within(yy)
    rows, columns, total = (
        float(v) for v in (xy.rows @ xy.rows, xy.columns @ xy.columns, xy.rows.sum())
    )
    square = xy.squares / (n * m)
    same_x = (rows - xy.squares) / (n * m * (m - 1))
    same_y = (columns - xy.squares) / (n * m * (n - 1))
    apart = (total**2 - rows - columns + xy.squares) / (n * (n - 1) * m * (m - 1))
    return (
        4 / n * _first_order(xx.rows, xy.rows, m, x.shared - x.apart, same_x - apart)
        + 4 / m * _first_order(yy.rows, xy.columns, n, y.shared - y.apart, same_y - apart)
        + 2 / (n * (n - 1)) * (x.square - 2 * x.shared + x.apart)
        + 2 / (m * (m - 1)) * (y.square - 2 * y.shared + y.apart)
        + 4 / (n * m) * (square - same_x - same_y + apart)
    )


class _Moments(NamedTuple):
    """Unbiased estimates of E k₁₂², E k₁₂k₁₃ and E k₁₂k₃₄ within one set."""

    square: float
    shared: float
    apart: float


def _within(sums: Sums) -> _Moments:
    n, rows, total = len(sums.rows), float(sums.rows @ sums.rows), float(sums.rows.sum())
    return _Moments(
        sums.squares / math.perm(n, 2),
        (rows - sums.squares) / math.perm(n, 3),
        (total**2 - 4 * rows + 2 * sums.squares) / math.perm(n, 4),
    )


def _first_order(own: Tensor, cross: Tensor, m: int, var_own: float, var_cross: float) -> float:
    """Var<φ, δ> = Var<φ, μ> + Var<φ, μ'> - 2 Cov, from row sums (N,) within and across."""
    n, joint = len(own), float(own @ cross)
    apart = (float(own.sum() * cross.sum()) - 2 * joint) / (math.perm(n, 3) * m)
    return max(0.0, var_own + var_cross - 2 * (joint / (math.perm(n, 2) * m) - apart))
