"""Squared maximum mean discrepancy of two samples, unbiased, and the variance of this estimate.

Gretton et al. 2012, https://jmlr.org/papers/v13/gretton12a.html. In float64, a block at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 1024
"""Rows and columns of the kernel in memory at a time: 8 MiB, large enough for fast products."""


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x·y/d + 1)³ of rows x (N, D) and y (M, D): (N, M)."""
    one = x.new_ones((), dtype=torch.float64)
    return torch.addmm(one, x.double(), y.double().T, alpha=1 / x.shape[1]).pow_(3)


def blocks(n: int, m: int | None = None) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the blocks of a matrix (n, m); of a symmetric one the upper half's."""
    for i in range(0, n, BLOCK):
        for j in range(i if m is None else 0, n if m is None else m, BLOCK):
            yield slice(i, i + BLOCK), slice(j, j + BLOCK)


class Sums:
    """Sums of rows, columns and squares of a matrix that is added a block at a time.

    A symmetric one (no ``m``) is given by the blocks of its upper half; its diagonal counts as 0.
    """

    def __init__(self, like: Tensor, n: int, m: int | None = None) -> None:
        self.symmetric = m is None
        self.rows = like.new_zeros(n, dtype=torch.float64)
        self.columns = self.rows if m is None else like.new_zeros(m, dtype=torch.float64)
        self._squares = like.new_zeros((), dtype=torch.float64)

    def add(self, i: slice, j: slice, block: Tensor) -> None:
        """Add the block of rows i and columns j; its diagonal may be set to 0."""
        if self.symmetric and i == j:
            block.fill_diagonal_(0)
        self.rows[i] += block.sum(1)
        if not self.symmetric or i != j:
            self.columns[j] += block.sum(0)
        self._squares += (1 + (self.symmetric and i != j)) * torch.linalg.vector_norm(block) ** 2

    @property
    def squares(self) -> float:
        """The sum of the squares of all elements."""
        return float(self._squares)


def kernel_sums(x: Tensor, y: Tensor | None = None) -> Sums:
    """The sums of the kernel of x (N, D) with y (M, D), or with itself, at half the cost."""
    other, m = (x, None) if y is None else (y, len(y))
    sums = Sums(x, len(x), m)
    for i, j in blocks(len(x), m):
        sums.add(i, j, kernel(x[i], other[j]))
    return sums


def mmd2(xx: Sums, yy: Sums, xy: Sums) -> float:
    """The unbiased squared MMD: Gretton et al. 2012, eq. 3."""
    n, m = len(xy.rows), len(xy.columns)
    within = xx.rows.sum() / (n * (n - 1)) + yy.rows.sum() / (m * (m - 1))
    return float(within - 2 * xy.rows.sum() / (n * m))


def variance(xx: Sums, yy: Sums, xy: Sums) -> float:
    """Estimate of the variance of ``mmd2``, with N, M >= 4, equal or not.

    By Hoeffding's decomposition, with φ, ψ the centred features of the kernel of the two sets and
    δ the difference of their means, whose parts are uncorrelated,

        Var = 4/N Var<φ, δ> + 4/M Var<ψ, δ> + 2/(N(N-1)) E<φ, φ'>² + 2/(M(M-1)) E<ψ, ψ'>²
              + 4/(NM) E<φ, ψ>²

    of which the first two vanish when the distributions are equal. Each expectation is estimated
    by the mean over distinct indices, as in Sutherland and Deka 2019,
    https://arxiv.org/abs/1906.02104, who treat N = M. Estimates of the first two may fall below
    0 and count as 0 then: near equal distributions the result is a little too large, never nothing.

    Nothing but the form of ``mmd2`` is used: three matrices of functions of two rows, the first two
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
