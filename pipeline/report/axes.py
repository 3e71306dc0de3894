"""Axes of charts: round ticks, and the coordinates of values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..format import MINUS

DECADE = 30.0
"""The ratio of the largest to the smallest value from which on a logarithmic axis shows more."""


@dataclass(frozen=True)
class Tick:
    """A labelled point of an axis."""

    at: float
    """Its coordinate in the picture."""
    text: str


@dataclass(frozen=True)
class Axis:
    """Maps values to coordinates between ``start`` and ``end`` of the picture."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The coordinate of a value, to a tenth of a unit."""
        low, high, value = (self._scaled(v) for v in (self.low, self.high, value))
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self, most: int = 6) -> list[Tick]:
        """Ticks at round values within the axis, about ``most`` of them."""
        values = _powers(self.low, self.high) if self.log else _round_values(self, most)
        return [Tick(self(value), text) for value, text in zip(values, _texts(values), strict=True)]

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value


def fit_axis(
    values: Iterable[float], start: float, end: float, *, log: bool = False, margin: float = 0.04
) -> Axis:
    """An axis around all values, with a margin on each side, a share of their range.

    ``log``: logarithmic, if the values are positive and span a ratio of ``DECADE`` or more.
    """
    everything = list(values)
    low, high = min(everything), max(everything)
    if log and low > 0 and high / low >= DECADE:
        factor = (high / low) ** margin
        return Axis(low / factor, high * factor, start, end, log=True)
    room = (high - low) * margin or abs(high) * 0.1 or 1.0
    return Axis(low - room, high + room, start, end)


def _round_values(axis: Axis, most: int) -> list[float]:
    step = _round_step((axis.high - axis.low) / most)
    first, last = math.ceil(axis.low / step), math.floor(axis.high / step)
    return [i * step for i in range(first, last + 1)]


def _round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next((m * power for m in (1, 2, 5) if m * power >= least), 10 * power)


def _powers(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if high / low > 1e3 else (1, 3)
    return [f * 10.0**d for d in decades for f in factors if low <= f * 10.0**d <= high]


def _texts(values: list[float]) -> list[str]:
    """The values as text, with as many decimals as tell neighbours apart."""
    largest = max(map(abs, values), default=0)
    if largest >= 1e6 or 0 < largest < 1e-3:
        return [f"{value:.3g}" if value else "0" for value in values]
    for decimals in range(7):
        texts = [f"{value:,.{decimals}f}" for value in values]
        exact = (math.isclose(round(v, decimals), v, rel_tol=1e-6, abs_tol=1e-9) for v in values)
        if all(exact):
            break
    return [text.replace("-", MINUS) for text in texts]
