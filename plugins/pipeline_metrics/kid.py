"""Kernel inception distance: Bińkowski et al. 2018, https://arxiv.org/abs/1801.01401."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from pipeline import InputError, Score, Stage, stage
from pipeline.contracts import Features

from .inputs import check

BLOCK = 1024
"""Rows and columns of the kernel in memory at a time: 8 MiB, large enough for fast products."""

SEED = 0
"""Of subsets and batches."""

_OPTIONS = {"full": (), "subsets": ("subsets", "subset_size"), "batch_mean": ("batch_size",)}
"""The options that each estimator reads."""

_Estimate = tuple[float, float | None, dict[str, int]]
"""Value, standard error, and what the estimator adds to the protocol."""


@stage
class KID:
    """Squared MMD with the kernel (x·y/d + 1)³, unbiased (Gretton et al. 2012, eq. 3), in float64.

    Around 0, also below, for images of the same distribution. An option that the chosen estimator
    does not read is refused.
    """

    estimator: Literal["full", "subsets", "batch_mean"] = "full"
    """full: all pairs, with its standard error. subsets: mean over random subsets, the usual
    published form; it has no standard error, since subsets overlap. batch_mean: mean over
    batches of both sides, shuffled first and the incomplete one dropped, as the book computes; its
    standard error is that of the mean of the batches' values. Subsets and order are drawn with a
    fixed seed: the same features give the same value."""
    subsets: Annotated[int, Field(ge=1)] | None = None
    """Of ``subsets``: how many; none: 100."""
    subset_size: Annotated[int, Field(ge=2)] | None = None
    """Of ``subsets``: images in one, without replacement; none: 1000. Never more than there are."""
    batch_size: Annotated[int, Field(ge=2)] | None = None
    """Of ``batch_mean``: images in a batch; none: 64."""
    features: Annotated[Features, Stage("features")] | None = None
    """The network whose features are compared; none: the recipe's."""

    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    examples: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"estimator": "subsets", "subsets": 5, "subset_size": 20},
        {"estimator": "batch_mean", "batch_size": 8},
        {"features": {"name": "efficientnet_lite0", "image_size": 32}},
    )

    @model_validator(mode="after")
    def _refuse_unread(self) -> KID:
        for name in {"subsets", "subset_size", "batch_size"} - {*_OPTIONS[self.estimator]}:
            if getattr(self, name) is not None:
                raise ValueError(f"{name} is not an option of estimator {self.estimator}")
        return self

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        """Features (N, D) and (M, D); N and M may differ. Raises InputError for unusable ones.

        Memory beyond the features is a few blocks, whatever N and M.
        """
        check("kid", real, fake)
        estimators = {"full": _full, "subsets": self._subsets, "batch_mean": self._batch_mean}
        value, error, used = estimators[self.estimator](real, fake)
        counts = {"num_real": len(real), "num_fake": len(fake)}
        return Score(value, error, {"metric": "kid", "estimator": self.estimator, **counts, **used})

    def _subsets(self, real: Tensor, fake: Tensor) -> _Estimate:
        count, size = self.subsets or 100, min(self.subset_size or 1000, len(real), len(fake))
        draw = np.random.default_rng(SEED)
        values = [_mmd2(_drawn(real, size, draw), _drawn(fake, size, draw)) for _ in range(count)]
        return float(np.mean(values)), None, {"subsets": count, "subset_size": size}

    def _batch_mean(self, real: Tensor, fake: Tensor) -> _Estimate:
        size = self.batch_size or 64
        count = min(len(real), len(fake)) // size
        if not count:
            raise InputError(
                f"kid with estimator batch_mean needs a batch of {size} images on both sides, got "
                f"{len(real)} real and {len(fake)} generated; set a smaller batch_size"
            )
        draw = np.random.default_rng(SEED)
        # Images are often sorted by class, and a batch of one class is far from any other batch.
        real, fake = (_drawn(x, count * size, draw) for x in (real, fake))
        batches = [slice(i * size, (i + 1) * size) for i in range(count)]
        values = [_mmd2(real[batch], fake[batch]) for batch in batches]
        error = float(np.std(values, ddof=1)) / math.sqrt(count) if count > 1 else None
        return float(np.mean(values)), error, {"batch_size": size}


class _Sums(NamedTuple):
    """Of a kernel matrix; of one set with itself the diagonal counts as 0."""

    rows: Tensor
    """(N,)"""
    columns: Tensor
    """(M,)"""
    squares: float


def _kernel_sums(x: Tensor, y: Tensor | None = None) -> _Sums:
    """Of the kernel of x (N, D) with y (M, D), or with itself, which costs half of that."""
    other = x if y is None else y
    one = x.new_ones((), dtype=torch.float64)
    rows, columns = one.new_zeros(len(x)), one.new_zeros(len(other))
    squares = one.new_zeros(())
    for i in range(0, len(x), BLOCK):
        left = x[i : i + BLOCK].double()
        for j in range(i if y is None else 0, len(other), BLOCK):
            right = other[j : j + BLOCK].double()
            block = torch.addmm(one, left, right.T, alpha=1 / x.shape[1]).pow_(3)
            if y is None and i == j:
                block.fill_diagonal_(0)
            mirrored = y is None and i != j
            rows[i : i + BLOCK] += block.sum(1)
            (rows if mirrored else columns)[j : j + BLOCK] += block.sum(0)
            squares += (1 + mirrored) * torch.linalg.vector_norm(block) ** 2
    return _Sums(rows, rows if y is None else columns, float(squares))


def _drawn(x: Tensor, size: int, draw: np.random.Generator) -> Tensor:
    """Rows of x in random order, without replacement."""
    return x[torch.from_numpy(draw.choice(len(x), size, replace=False)).to(x.device)]


def _mmd2(real: Tensor, fake: Tensor) -> float:
    return _value(_kernel_sums(real), _kernel_sums(fake), _kernel_sums(real, fake))


def _full(real: Tensor, fake: Tensor) -> _Estimate:
    """No standard error for fewer than 4 images, or where all are the same."""
    sums = _kernel_sums(real), _kernel_sums(fake), _kernel_sums(real, fake)
    variance = _variance(*sums) if min(len(real), len(fake)) >= 4 else 0.0
    return _value(*sums), math.sqrt(variance) if variance > 0 else None, {}


def _value(xx: _Sums, yy: _Sums, xy: _Sums) -> float:
    """Gretton et al. 2012, eq. 3."""
    n, m = len(xy.rows), len(xy.columns)
    within = xx.rows.sum() / (n * (n - 1)) + yy.rows.sum() / (m * (m - 1))
    return float(within - 2 * xy.rows.sum() / (n * m))


def _variance(xx: _Sums, yy: _Sums, xy: _Sums) -> float:
    """Estimate of the variance of ``_value``, with N, M >= 4, equal or not.

    By Hoeffding's decomposition, with φ, ψ the centred features of the kernel of the two sets and
    δ the difference of their means, whose parts are uncorrelated,

        Var = 4/N Var<φ, δ> + 4/M Var<ψ, δ> + 2/(N(N-1)) E<φ, φ'>² + 2/(M(M-1)) E<ψ, ψ'>²
              + 4/(NM) E<φ, ψ>²

    of which the first two vanish when the distributions are equal. Each expectation is estimated
    by the mean over distinct indices, as in Sutherland and Deka 2019,
    https://arxiv.org/abs/1906.02104, who treat N = M. Estimates of the first two may fall below
    0 and count as 0 then: near equal distributions the result is a little too large, never nothing.
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


def _within(sums: _Sums) -> _Moments:
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
