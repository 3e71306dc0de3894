"""Numbers, times, sizes and tables as people read them, and which of many things to show."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Mapping, Sequence

from .records import AnchorRecord, Plain, ScoreRecord, TimeRecord

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


def metric_name(name: str) -> str:
    """A metric's name as people write it: ``kid`` -> KID, ``inception_score`` -> inception score"""
    short = re.fullmatch(r"[a-z]{1,4}(_\d+)?", name)  # a second kid is kid_2
    return (name.upper() if short else name).replace("_", " ")


def score_value(score: ScoreRecord) -> str:
    """A score with its standard error: 5.07 ± 0.42"""
    value, error = score["value"], score.get("standard_error")
    return measured(value, error) + (f" ± {measured(error, error)}" if error else "")


def anchor_words(anchors: AnchorRecord) -> str:
    """Where a scale begins and ends: real images 0.09 ± 0.08, an untrained network 20.04 ± 0.66"""
    ends = []
    if "real" in anchors:
        ends.append(f"real images {score_value(anchors['real'])}")
    if "untrained" in anchors:
        ends.append(f"an untrained network {score_value(anchors['untrained'])}")
    return ", ".join(ends)


def with_half(median: float, half: Sequence[float] | None) -> str:
    """A median with what half of the values lie between: 0.053 (0.051 to 0.058)"""
    told = f" ({number(half[0])} to {number(half[1])})" if half else ""
    return number(median) + told


def trained_words(record: TimeRecord) -> str:
    """How long the trials of a comparison were trained: 6 trainings of 1:23:45 in all"""
    count = record.get("trainings")  # not in older records
    told = f"{count} training{'s' if count != 1 else ''} of " if count is not None else ""
    return f"{told}{clock(record['seconds'])} in all"


def image_size(shape: Sequence[int]) -> str:
    """``width×height`` of a shape that ends in (H, W)."""
    return f"{shape[-1]}×{shape[-2]}"


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


def duration(seconds: float) -> str:
    """A time as far as it matters: 0.25 s, 45 s, 1 min 15 s, 29 min, 13 h 29 min"""
    if seconds < 9.95:
        return f"{number(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    if minutes < 10:
        return f"{minutes} min {rest} s"
    hours, left = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {left} min" if hours else f"{left} min"


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


def flat(data: Mapping[str, object], before: str = "") -> Plain:
    """Mappings within as ``outer.inner``, lists as ``32×32``."""
    values: Plain = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{before}{name}.")
        else:
            text = None
            if isinstance(value, list):
                text = image_size(value) if name == "resolution" else "×".join(map(str, value))
            values[before + name] = value if text is None else text
    return values
