"""Numbers and tables for people."""

from __future__ import annotations

from collections.abc import Sequence


def number(value: float) -> str:
    """Three significant digits, without an exponent where that is readable."""
    if value == 0 or not 1e-5 <= abs(value) < 1e6:
        return f"{value:.3g}"
    digits = max(0, 2 - int(f"{value:e}".partition("e")[2]))
    return f"{value:,.{digits}f}"


def signed(value: float) -> str:
    """With its sign: −0.011, +0.003."""
    return f"{'−' if value < 0 else '+'}{number(abs(value))}"


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
