"""Values with intervals, a row each (a forest plot), laid out for ``charts.html``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .axes import Axis, Tick, fit_axis
from .curves import RIGHT

ROW, LABEL, MARK, TICKS = 30, 22, 15, 36
"""Heights: between rows, of a row's label, of a mark, of the ticks below."""

INDENT = 16
"""The left edge of the plot."""


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
    """A value with its coordinates in the picture."""

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
    """A chart of rows, each a label with its values. ``zero``: with a line at zero."""
    values = [value for _, row in rows for value in row]
    ends = [end for v in values for end in (v.value, v.low, v.high) if end is not None]
    across = fit_axis([*ends, 0.0] if zero else ends, INDENT, RIGHT)
    drawn, foot = _rows(rows, across)
    alt = "; ".join(f"{label}: {', '.join(v.tip for v in row)}" for label, row in rows)
    return Intervals(
        title=title,
        alt=f"Chart of {title}. {alt}.",
        x_ticks=across.ticks(5),
        zero=across(0.0) if zero else None,
        rows=drawn,
        legend=list(legend),
        height=foot + TICKS,
        note=note,
    )


def _rows(rows: Sequence[tuple[str, Sequence[Value]]], across: Axis) -> tuple[list[Row], float]:
    """The rows below each other, and the height of all of them."""
    drawn, foot = [], 0.0
    for label, values in rows:
        y = foot + LABEL
        marks = [_mark(value, across, y + MARK * (i + 0.8)) for i, value in enumerate(values)]
        drawn.append(Row(label, y, marks))
        foot = y + MARK * len(values) + ROW - LABEL
    return drawn, foot


def _mark(value: Value, across: Axis, y: float) -> Mark:
    low, high = (None if end is None else across(end) for end in (value.low, value.high))
    return Mark(across(value.value), low, high, y, value.style, value.tip)
