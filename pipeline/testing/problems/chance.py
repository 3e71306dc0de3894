"""Whether numbers are drawn from the distribution that they should be, at a stated error."""

from __future__ import annotations

import math
from statistics import NormalDist

import torch
from torch import Tensor

from ..context import require

FALSE_ALARM = 1e-7
"""How often right numbers would be refused by one comparison, if they were drawn anew each time."""


ROWS, FREEDOM = 64, (0.25, 4.0)
"""From so many images on their mean squares are looked at, and what their variance may be of what
it should; chance leaves these bounds once in 10⁹ times."""


def require_normal(values: Tensor, what: str, *, standard: bool = True) -> str:
    """Raise Wrong unless the numbers can be standard normal, or normal where not ``standard``.

    Mean and variance within chance, and the largest distance of the distribution functions
    (Kolmogorov and Smirnov). Returns the latter. Of many images the mean squares have to spread as
    those of independent numbers do: noise that is scaled to each image's own spread has none.
    """
    if values.ndim > 1 and len(values) >= ROWS:
        _require_free_rows(values.detach().double().flatten(1), what)
        _require_free_neighbours(values.detach().double(), what)
        if values.ndim == 4:
            _require_free_means(values.detach().double(), what)
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


def _require_free_neighbours(values: Tensor, what: str) -> None:
    """Raise Wrong where numbers beside each other along an axis are correlated."""
    x = (values - values.mean()) / values.std()
    bound = NormalDist().inv_cdf(1 - FALSE_ALARM / 2)
    for axis, name in zip(range(x.dim()), ("image", "channel", "row", "column"), strict=False):
        for apart in range(1, min(x.shape[axis], 3)):
            size = x.shape[axis] - apart
            products = x.narrow(axis, 0, size) * x.narrow(axis, apart, size)
            found = float(products.mean())
            require(
                abs(found) < bound / math.sqrt(products.numel()),
                f"{what}: numbers {apart} {name} apart are correlated by {found:.2g}; they should "
                "be independent",
            )


def _require_free_means(values: Tensor, what: str) -> None:
    """Raise Wrong where the means of channels (N, C, H, W) vary by more than 1 / (H W)."""
    means = ((values - values.mean()) / values.std()).mean((2, 3))
    spread = float(means.square().mean()) * values[0, 0].numel()
    bound = NormalDist().inv_cdf(1 - FALSE_ALARM / 2) * math.sqrt(2 / means.numel())
    require(
        abs(spread - 1) < bound,
        f"{what}: the means of channels vary by {spread:.3g} of what those of independent numbers "
        "do: is a part of the noise common to a channel's pixels?",
    )


def _require_free_rows(rows: Tensor, what: str) -> None:
    """Raise Wrong unless the mean squares of rows (N, D) vary by about 2 / D."""
    rows = (rows - rows.mean()) / rows.std()
    spread = float(rows.square().mean(1).var()) * rows.shape[1] / 2
    low, high = FREEDOM
    require(
        low < spread < high,
        f"{what}: the mean squares of {len(rows)} images vary by {spread:.2g} of what they should: "
        "does the noise of a pixel depend on that of others?",
    )
