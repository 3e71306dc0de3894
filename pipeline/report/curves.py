"""Values over steps, laid out for ``curves.svg`` in the template ``charts.html``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .axes import Axis, Tick, fit_axis

WIDTH, HEIGHT = 420, 236
"""The size of the picture: letters of 12 stay readable where a phone shows it 320 pixels wide."""

LEFT, RIGHT, TOP, BOTTOM = 50, 410, 10, 200
"""The edges of the plot within the picture."""

MOST_POINTS = 100
"""How many values of a line answer to the pointer; the line goes through all of them."""


@dataclass(frozen=True)
class Series:
    """One line: values by step, with the 95 % interval of each where there are some."""

    name: str
    steps: Sequence[float]
    values: Sequence[float]
    reaches: Sequence[float] = ()
    """Half the width of each value's interval; empty where there are none."""
    style: int = 1
    """Colour and dashes, 1 to 3."""

    def ends(self) -> list[float]:
        """All that the axis has to hold: both ends of every interval."""
        reaches = self.reaches or [0.0] * len(self.values)
        return [v + s * r for v, r in zip(self.values, reaches, strict=True) for s in (-1, 1)]


@dataclass(frozen=True)
class Point:
    """A point of a line that tells its value."""

    x: float
    y: float
    tip: str


@dataclass(frozen=True)
class Line:
    """A series with its coordinates in the picture."""

    name: str
    style: int
    path: str
    band: str
    points: list[Point]


@dataclass(frozen=True)
class Curves:
    """A chart of lines, laid out."""

    title: str
    alt: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    note: str = ""
    kind: str = field(default="curves", init=False)

    @property
    def legend(self) -> list[tuple[str, int]]:
        """Names with styles."""
        return [(line.name, line.style) for line in self.lines]


def curves(
    title: str,
    series: Sequence[Series],
    unit: str = "",
    note: str = "",
    *,
    from_zero: bool = False,
) -> Curves:
    """A chart over training steps; the vertical axis is logarithmic where values span decades.

    ``from_zero``: never logarithmic, and zero is on the axis.
    """
    across = fit_axis([step for line in series for step in line.steps], LEFT, RIGHT, margin=0.02)
    ends = [end for line in series for end in line.ends()]
    up = fit_axis([*ends, 0.0] if from_zero else ends, BOTTOM, TOP, log=not from_zero)
    scale = "logarithmic scale" if up.log else ""
    return Curves(
        title=title,
        alt=f"Chart of {title} by training step: {'; '.join(map(_summary, series))}.",
        x_ticks=across.ticks(5),
        y_ticks=up.ticks(),
        lines=[_line(line, across, up, unit) for line in series],
        note="; ".join(filter(None, [unit, scale, note])),
    )


def _summary(series: Series) -> str:
    return (
        f"{series.name} from {series.values[0]:.4g} at step {series.steps[0]:,} "
        f"to {series.values[-1]:.4g} at step {series.steps[-1]:,}"
    )


def _line(series: Series, across: Axis, up: Axis, unit: str) -> Line:
    xs, ys = [across(s) for s in series.steps], [up(v) for v in series.values]
    every = -(-len(xs) // MOST_POINTS)
    shown = range(0, len(xs), every)
    return Line(
        series.name,
        series.style,
        _path(xs, ys),
        _band(series, xs, up),
        [Point(xs[i], ys[i], _tip(series, i, unit)) for i in shown],
    )


def _tip(series: Series, i: int, unit: str) -> str:
    reach = f" ± {series.reaches[i]:.3g}" if series.reaches else ""
    value = f"{series.values[i]:.4g}{reach} {unit}".strip()
    return f"{series.name}, step {series.steps[i]:,}: {value}"


def _band(series: Series, xs: Sequence[float], up: Axis) -> str:
    if not series.reaches:
        return ""
    intervals = list(zip(series.values, series.reaches, strict=True))
    # What a logarithmic axis cannot show ends at its foot.
    highs, lows = ([up(max(v + s * r, up.low)) for v, r in intervals] for s in (1, -1))
    return _path([*xs, *reversed(xs)], [*highs, *reversed(lows)]) + "Z"


def _path(xs: Sequence[float], ys: Sequence[float]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in zip(xs, ys, strict=True))
