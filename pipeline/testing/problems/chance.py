"""Whether numbers are drawn from the distribution that they should be, at a stated error."""

from __future__ import annotations

import math
from statistics import NormalDist

import torch
from torch import Tensor

from ..context import require

FALSE_ALARM = 1e-7
"""How often right numbers would be refused by one comparison, if they were drawn anew each time."""


def require_normal(values: Tensor, what: str, *, standard: bool = True) -> str:
    """Raise Wrong unless the numbers can be standard normal, or normal where not ``standard``.

    Mean and variance within chance, and the largest distance of the distribution functions
    (Kolmogorov and Smirnov). Returns the latter.
    """
    x = values.detach().double().flatten()
    count, bound = len(x), NormalDist().inv_cdf(1 - FALSE_ALARM / 2)
    if standard:
        mean, spread = float(x.mean()), float(x.square().mean())
        require(
            abs(mean) < bound / math.sqrt(count),
            f"{what} has the mean {mean:.3g} over {count:,} numbers; it should be standard normal",
        )
        require(
            abs(spread - 1) < bound * math.sqrt(2 / count),
            f"{what} has the mean square {spread:.3g} over {count:,} numbers; it should be 1",
        )
    else:
        x = (x - x.mean()) / x.std()
    share = torch.arange(count + 1, dtype=torch.float64) / count
    expected = torch.special.ndtr(x.sort().values)
    away = float(torch.maximum(share[1:] - expected, expected - share[:-1]).max())
    most = math.sqrt(math.log(2 / FALSE_ALARM) / (2 * count))
    require(
        away < most,
        f"{what} is not normal: its distribution function is {away:.3g} off over {count:,} "
        f"numbers, where chance leaves {most:.2g}",
    )
    return f"{away:.1g}"
