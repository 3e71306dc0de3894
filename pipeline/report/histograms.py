"""Distributions below each other on one axis, laid out for ``charts.html``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .axes import Axis, Tick, fit_axis
from .curves import LEFT, RIGHT
from .intervals import TICKS

BARS = 24
"""How many bins there are."""

BAR_HEIGHT, GROUP = 56, 92
"""The highest bar, and the distance of one distribution's foot from the next."""


@dataclass(frozen=True)
class Bar:
    """A bar in the picture."""

    x: float
    width: float
    height: float
    tip: str


@dataclass(frozen=True)
class Group:
    """The bars of one distribution."""

    label: str
    style: int
    foot: float
    bars: list[Bar]


@dataclass(frozen=True)
class Histograms:
    """Distributions, laid out."""

    title: str
    alt: str
    x_ticks: list[Tick]
    groups: list[Group]
    height: float
    note: str = ""
    kind: str = field(default="histograms", init=False)


def histograms(title: str, groups: Sequence[tuple[str, Sequence[float]]], note: str) -> Histograms:
    """The shares of values in equal bins, the same bins for each distribution."""
    across = fit_axis([value for _, values in groups for value in values], LEFT, RIGHT)
    size = (across.high - across.low) / BARS
    bins = [(across.low + i * size, across.low + (i + 1) * size) for i in range(BARS)]
    shares = [[_share(values, *ends) for ends in bins] for _, values in groups]
    scale = BAR_HEIGHT / max(map(max, shares))
    medians = "; ".join(
        f"{label}: median {sorted(vs)[len(vs) // 2]:.4g} of {len(vs)}" for label, vs in groups
    )
    return Histograms(
        title=title,
        alt=f"Histogram of {title}. {medians}.",
        x_ticks=across.ticks(5),
        groups=[
            Group(label, i, GROUP * i, _bars(label, bins, heights, across, scale))
            for i, ((label, _), heights) in enumerate(zip(groups, shares, strict=True), start=1)
        ],
        height=GROUP * len(groups) + TICKS,
        note=note,
    )


def _bars(
    label: str,
    bins: Sequence[tuple[float, float]],
    shares: Sequence[float],
    across: Axis,
    scale: float,
) -> list[Bar]:
    width = round((RIGHT - LEFT) / BARS - 1, 1)
    return [
        Bar(
            across(low),
            width,
            round(share * scale, 1),
            f"{label}: {100 * share:.0f} % from {low:.4g} to {high:.4g}",
        )
        for (low, high), share in zip(bins, shares, strict=True)
        if share
    ]


def _share(values: Sequence[float], low: float, high: float) -> float:
    return sum(low <= value < high for value in values) / len(values)
