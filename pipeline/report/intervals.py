"""Values with intervals, a row each (a forest plot), and distributions, laid out for templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .axes import Tick, axis
from .curves import LEFT, RIGHT

ROW, LABEL, MARK = 30, 22, 15
"""Heights: between rows, of a row's label, of a mark."""

BARS = 24
"""Of a histogram."""

BAR_HEIGHT, GROUP = 56, 92
"""The highest bar, and the distance of one distribution's foot from the next."""


@dataclass(frozen=True)
class Value:
    """One value of a row, with its interval where it has one."""

    value: float
    low: float | None
    high: float | None
    style: int
    tip: str


@dataclass(frozen=True)
class Mark:
    """A value in the picture."""

    x: float
    low: float | None
    high: float | None
    y: float
    style: int
    tip: str


@dataclass(frozen=True)
class Row:
    """A labelled row of marks."""

    label: str
    y: float
    marks: list[Mark]


@dataclass(frozen=True)
class Intervals:
    """A chart of rows, laid out."""

    title: str
    alt: str
    x_ticks: list[Tick]
    zero: float | None
    rows: list[Row]
    legend: list[tuple[str, int]]
    height: float
    note: str = ""
    kind: str = field(default="intervals", init=False)


def intervals(
    title: str,
    rows: Sequence[tuple[str, Sequence[Value]]],
    legend: Sequence[tuple[str, int]] = (),
    *,
    zero: bool = False,
    note: str = "",
) -> Intervals:
    """A chart of rows: what each is called, and its values. ``zero``: with a line at zero."""
    ends = [e for _, vs in rows for v in vs for e in (v.value, v.low, v.high) if e is not None]
    across = axis([*ends, 0.0] if zero else ends, 16, RIGHT)
    made, y = [], 0.0
    for label, values in rows:
        y += LABEL
        marks = []
        for i, v in enumerate(values):
            low, high = (None if e is None else across(e) for e in (v.low, v.high))
            marks.append(Mark(across(v.value), low, high, y + MARK * (i + 0.8), v.style, v.tip))
        made.append(Row(label, y, marks))
        y += MARK * len(values) + ROW - LABEL
    alt = "; ".join(f"{label}: {', '.join(v.tip for v in values)}" for label, values in rows)
    return Intervals(
        title=title,
        alt=f"Chart of {title}. {alt}.",
        x_ticks=across.ticks(5),
        zero=across(0.0) if zero else None,
        rows=made,
        legend=list(legend),
        height=y + 36,
        note=note,
    )


@dataclass(frozen=True)
class Bar:
    """A bar in the picture."""

    x: float
    width: float
    height: float
    tip: str


@dataclass(frozen=True)
class Group:
    """One distribution."""

    label: str
    style: int
    foot: float
    bars: list[Bar]


@dataclass(frozen=True)
class Histograms:
    """Distributions below each other on one axis, laid out."""

    title: str
    alt: str
    x_ticks: list[Tick]
    groups: list[Group]
    height: float
    note: str = ""
    kind: str = field(default="histograms", init=False)


def histograms(title: str, groups: Sequence[tuple[str, Sequence[float]]], note: str) -> Histograms:
    """The shares of values in equal bins, the same bins for each distribution."""
    everything = [value for _, values in groups for value in values]
    across = axis(everything, LEFT, RIGHT)
    size = (across.high - across.low) / BARS
    bins = [(across.low + i * size, across.low + (i + 1) * size) for i in range(BARS)]
    shares = [[_share(values, *ends) for ends in bins] for _, values in groups]
    highest = max(max(one) for one in shares)
    made = [
        Group(
            label,
            style + 1,
            GROUP * (style + 1),
            [
                Bar(
                    across(low),
                    round((RIGHT - LEFT) / BARS - 1, 1),
                    round(share / highest * BAR_HEIGHT, 1),
                    f"{label}: {100 * share:.0f} % from {low:.4g} to {high:.4g}",
                )
                for (low, high), share in zip(bins, shares[style], strict=True)
                if share
            ],
        )
        for style, (label, _) in enumerate(groups)
    ]
    told = "; ".join(
        f"{label}: median {sorted(vs)[len(vs) // 2]:.4g} of {len(vs)}" for label, vs in groups
    )
    return Histograms(
        title=title,
        alt=f"Histogram of {title}. {told}.",
        x_ticks=across.ticks(5),
        groups=made,
        height=GROUP * len(groups) + 36,
        note=note,
    )


def _share(values: Sequence[float], low: float, high: float) -> float:
    return sum(low <= value < high for value in values) / len(values)
