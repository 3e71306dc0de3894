"""Whether products of features in float32 are exact enough, tried on the features themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch
from torch import Tensor

TOLERANCE = 1e-6
"""What a number may change by, relative: less than any digit that is printed."""
LEAST = 1024
"""With fewer rows it is float64, which then takes a fraction of a second."""
PARTS, STRIDE = 4, 32
"""How many parts of the rows are computed both ways, each every 32nd row: 1 % of the work."""


class Numbers(Protocol):
    """What is compared of a result: float64 vectors of one length."""

    def values(self) -> Tensor:
        """Estimates, which may be near 0."""

    def variances(self) -> Tensor:
        """Their variances."""


N = TypeVar("N", bound=Numbers)


def economical(compute: Callable[[slice, torch.dtype], N], rows: int) -> N:
    """The result of ``compute`` for all rows: of products in float32 where that changes no digit.

    ``compute`` is given which rows of each set to use and the dtype of products; the smallest set
    has so many ``rows``. Four parts of the rows are computed in both dtypes. Rounding errors of
    different products average out, the more the more rows there are, so those of all rows are
    smaller than those of a part: the mean of the parts' differences plus one standard deviation is
    taken as the error of a value, and relative differences of variances in the same way. All is
    computed in float64 if an error exceeds TOLERANCE of the variance, or of the value or its
    standard error, whichever is larger: a value within its error of 0 has no digits of its own.
    Features alone decide: the same ones always have the same result.
    """
    everything = slice(None)
    if rows < LEAST:
        return compute(everything, torch.float64)
    parts = [slice(start, None, STRIDE) for start in range(0, STRIDE, STRIDE // PARTS)]
    pairs = [(compute(part, torch.float32), compute(part, torch.float64)) for part in parts]
    variances = torch.stack([_relative(a.variances(), b.variances()) for a, b in pairs])
    if bool((_error(variances) <= TOLERANCE).all()):  # not so for what is not a number
        result = compute(everything, torch.float32)
        errors = _error(torch.stack([a.values() - b.values() for a, b in pairs]))
        scales = torch.maximum(result.values().abs(), result.variances().clamp(min=0).sqrt())
        if bool((errors <= TOLERANCE * scales).all()):
            return result
    return compute(everything, torch.float64)


def _relative(rounded: Tensor, exact: Tensor) -> Tensor:
    difference = rounded - exact
    return torch.where(difference == 0, 0.0, difference / exact.abs())


def _error(differences: Tensor) -> Tensor:
    """From differences (parts, numbers)."""
    return differences.mean(0).abs() + differences.std(0)
