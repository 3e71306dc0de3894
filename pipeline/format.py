"""Numbers, times, sizes and tables as people read them, and which of many things to show."""

from __future__ import annotations

import codecs
import math
from collections.abc import Sequence

REACH = 1.96
"""Standard errors from the middle of a 95 % interval to each of its ends."""

MINUS = "\N{MINUS SIGN}"

AS_TOLD = "pipeline-as-told"
"""Encodes what an encoding lacks for people: bytes of a file name that are no UTF-8 as ``\\xe9``,
so that different names stay different, and other characters as ``?``."""


def _as_told(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    bytes_of = {n: f"\\x{n - 0xDC00:02x}" for n in range(0xDC80, 0xDD00)}
    return "".join(bytes_of.get(ord(c), "?") for c in lacking), error.end


codecs.register_error(AS_TOLD, _as_told)


def number(value: float) -> str:
    """Three significant digits, without an exponent where that is readable."""
    if value == 0 or not 1e-5 <= abs(value) < 1e6:
        return f"{value:.3g}"
    digits = max(0, 2 - int(f"{value:e}".partition("e")[2]))
    return f"{value:,.{digits}f}"


def signed(value: float) -> str:
    """With its sign: −0.011, +0.003."""
    return f"{MINUS if value < 0 else '+'}{number(abs(value))}"


def measured(value: float, error: float | None = None, *, sign: bool = False) -> str:
    """As many decimals as show two digits of the standard error; without one, four digits."""
    form = "+" if sign else ""
    if error and math.isfinite(error):
        decimals = max(0, 1 - math.floor(math.log10(error)))
        text = f"{value:{form},.{decimals}f}"
    else:
        text = f"{value:{form},.4g}"
    return text.replace("-", MINUS)


def probability(p: float) -> str:
    """A p-value: 0.041, < 0.001."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def byte_size(size: int) -> str:
    """1_234_567 -> 1.23 MB"""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= 0.9995 * factor:  # what three digits round to the next unit is told in it
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"


def evenly(count: int, most: int) -> list[int]:
    """At most ``most`` of the places 0 … count - 1, evenly spaced, the first and the last included.

    ``most`` is 2 or more.
    """
    if count <= most:
        return list(range(count))
    step = (count - 1) / (most - 1)
    return [*(int(i * step) for i in range(most - 1)), count - 1]


def clock(seconds: float) -> str:
    """75 -> 1:15"""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def table(rows: Sequence[Sequence[str]], align: str = "<") -> list[str]:
    """Lines with columns of equal width.

    ``align`` is ``<`` (left) or ``>`` (right) for each column; the last one holds for the rest.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = align.ljust(len(widths), align[-1])
    return [
        "  ".join(f"{cell:{s}{w}}" for cell, s, w in zip(row, sides, widths, strict=False)).rstrip()
        for row in rows
    ]
