"""How many pictures a run has, and in what grid, where its recipe leaves that open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

USUAL_PICTURES = 80
"""The pictures of a run whose recipe says neither how many nor in what grid."""

WIDEST, MOST_CELLS = 10, 1000
"""Columns, and pictures, of a grid that fits itself; of more pictures the first ones are shown."""


def fitted(num_images: int) -> tuple[int, int]:
    """Columns and rows for so many pictures: full rows, or else the widest."""
    full = [n for n in range(WIDEST // 2, WIDEST + 1) if num_images % n == 0]
    columns = min(num_images, max(full, default=WIDEST))
    return columns, rows_of(num_images, columns)


def rows_of(num_images: int, columns: int) -> int:
    """The rows that so many pictures fill, without those beyond ``MOST_CELLS``."""
    return min(-(-num_images // columns), max(1, MOST_CELLS // columns))


def pictures(sample: Mapping[str, Any]) -> tuple[int, tuple[int, int]]:
    """How many pictures a section ``sample`` asks for, as plain data, and in what grid."""
    count, grid = sample["num_images"], sample["grid"]
    count = count or (grid[0] * grid[1] if grid else USUAL_PICTURES)
    return count, tuple(grid) if grid else fitted(count)
