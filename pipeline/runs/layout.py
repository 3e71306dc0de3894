"""How many images ``pipeline sample`` draws, and in what grid they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError


@dataclass(frozen=True)
class Layout:
    """Images in a grid."""

    count: int
    grid: tuple[int, int]
    """Columns and rows."""
    interpolate: int | None

    @property
    def rows(self) -> list[int]:
        """For each image the number by which its class is chosen: its row, or its own."""
        return [i // (self.interpolate or 1) for i in range(self.count)]


def layout_of(
    num_images: int | None,
    grid: tuple[int, int] | None,
    interpolate: int | None,
    recipe: Mapping[str, Any],
    classes: int,
) -> Layout:
    """The layout that was asked for; ``recipe`` is the run's section ``sample``, for the rest.

    ``classes`` is how many of them are named. InputError for numbers that do not fit each other.
    """
    if interpolate:
        count, usual = _interpolated(num_images, grid, interpolate, recipe), interpolate
    else:
        count = num_images or (grid[0] * grid[1] if grid else recipe["num_images"])
        usual = recipe["grid"][0]
        if 0 < classes <= usual:
            usual -= usual % classes  # each column is of one class
    labelled = count // interpolate if interpolate else count
    if labelled < classes:
        what = f"{labelled} rows" if interpolate else f"{count} images"
        raise InputError(f"--classes names {classes} classes for {what}: ask for as many at least")
    columns = min(usual, count)
    columns, rows = grid or (columns, -(-count // columns))
    if columns * (rows - 1) >= count:
        raise InputError(f"--grid {columns}x{rows} has more rows than {count} images fill")
    return Layout(count, (columns, rows), interpolate)


def _interpolated(
    num_images: int | None,
    grid: tuple[int, int] | None,
    interpolate: int,
    recipe: Mapping[str, Any],
) -> int:
    """How many images: whole rows."""
    if grid and grid[0] != interpolate:
        raise InputError(
            f"--grid {grid[0]}x{grid[1]}: rows of --interpolate {interpolate} have "
            f"{interpolate} columns; write --grid {interpolate}x{grid[1]}"
        )
    count: int = num_images or interpolate * (grid[1] if grid else recipe["grid"][1])
    if count % interpolate:
        raise InputError(
            f"--num-images {count}: should be a multiple of --interpolate {interpolate}"
        )
    return count
