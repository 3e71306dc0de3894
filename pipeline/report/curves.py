"""Values over steps, laid out for ``curves.svg`` in the template ``charts.html``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .axes import Axis, Tick, axis

WIDTH, HEIGHT = 420, 236
"""Of the picture: letters of 12 stay readable where a phone shows it 320 pixels wide."""

LEFT, RIGHT, TOP, BOTTOM = 50, 410, 10, 200
"""Of the plot in the picture."""

MOST_POINTS = 100
"""That answer to the pointer; the line goes through all values."""


@dataclass(frozen=True)
class Series:
    """One line: values by step, with the 95 % interval of each where there are some."""

    name: str
    steps: Sequence[float]
    values: Sequence[float]
    errors: Sequence[float] = ()
    """Half the width of each interval; empty: none."""
    style: int = 1
    """Colour and dashes, 1 to 3."""

    def ends(self) -> list[float]:
        """All that the axis has to hold."""
        errors = self.errors or [0.0] * len(self.values)
        return [v + s * e for v, e in zip(self.values, errors, strict=True) for s in (-1, 1)]


@dataclass(frozen=True)
class Point:
    """A place that says its value."""

    x: float
    y: float
    tip: str


@dataclass(frozen=True)
class Line:
    """A series in the picture."""

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

    ``from_zero``: never logarithmic, and zero is on it.
    """
    across = axis([step for one in series for step in one.steps], LEFT, RIGHT, margin=0.02)
    ends = [end for one in series for end in one.ends()]
    up = axis([*ends, 0.0] if from_zero else ends, BOTTOM, TOP, log=not from_zero)
    scale = "logarithmic scale" if up.log else ""
    notes = "; ".join(filter(None, [unit, scale, note]))
    told = "; ".join(
        f"{one.name} from {one.values[0]:.4g} at step {one.steps[0]:,} "
        f"to {one.values[-1]:.4g} at step {one.steps[-1]:,}"
        for one in series
    )
    return Curves(
        title=title,
        alt=f"Chart of {title} by training step: {told}.",
        x_ticks=across.ticks(5),
        y_ticks=up.ticks(),
        lines=[_line(one, across, up, unit) for one in series],
        note=notes,
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
    error = f" ± {series.errors[i]:.3g}" if series.errors else ""
    value = f"{series.values[i]:.4g}{error} {unit}".strip()
    return f"{series.name}, step {series.steps[i]:,}: {value}"


def _band(series: Series, xs: Sequence[float], up: Axis) -> str:
    if not series.errors:
        return ""
    ends = list(zip(series.values, series.errors, strict=True))
    # What a logarithmic axis cannot show ends at its foot.
    highs, lows = ([up(max(v + s * e, up.low)) for v, e in ends] for s in (1, -1))
    return _path([*xs, *reversed(xs)], [*highs, *reversed(lows)]) + "Z"


def _path(xs: Sequence[float], ys: Sequence[float]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in zip(xs, ys, strict=True))
