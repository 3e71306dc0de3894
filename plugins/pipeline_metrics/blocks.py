"""Features a block of rows at a time: they may be read from a file."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline import Rows

FEW = 256
"""Rows in memory at a time; in float64 and of 2048 dimensions, 4 MiB."""


def blocks(x: Rows, size: int) -> Iterator[Tensor]:
    """All rows in order, up to ``size`` at a time."""
    for start in range(0, len(x), size):
        yield x[start : start + size]


def mean(x: Rows) -> Tensor:
    """The mean (D,) of rows (N, D), in float64."""
    total = sum((block.double().sum(0) for block in blocks(x, FEW)), torch.zeros(()))
    return total / len(x)


def part(x: Rows, rows: slice) -> Rows:
    """Some rows of x, also every k-th, without reading them."""
    return x if rows == slice(None) else _Part(x, range(len(x))[rows])


class _Part:
    def __init__(self, x: Rows, rows: range) -> None:
        self._x, self._rows, self.shape = x, rows, (len(rows), *x.shape[1:])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        if isinstance(rows, slice):
            chosen = self._rows[rows]
            return self._x[chosen.start : chosen.stop : chosen.step]
        return self._x[self._rows.start + self._rows.step * rows]
