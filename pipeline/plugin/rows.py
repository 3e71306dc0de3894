"""Features that need not be in memory, and the metrics that take them so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from .values import Score

if TYPE_CHECKING:
    from torch import Tensor


class Rows(Protocol):
    """Rows of which a few are in memory at a time, such as features (N, D). A tensor is one too."""

    @property
    def shape(self) -> Sequence[int]:
        """As a tensor's: the first is the number of rows."""

    def __len__(self) -> int:
        """How many rows there are."""

    def __getitem__(self, rows: slice | Tensor, /) -> Tensor:
        """These rows, as a tensor of their own: a slice, or int64 indices (n,) in any order."""


@runtime_checkable
class RowMetric(Protocol):
    """A metric that asks no more of features than ``Rows`` have; others are given tensors.

    Where it takes a block of rows at a time, scoring needs no more memory for more images.
    """

    @property
    def by_rows(self) -> Literal[True]:
        """Declares it."""

    def __call__(self, real: Rows, fake: Rows) -> Score:
        """As a ``Metric``.

        real: features (N, D) of the real images, float32 or float64.
        fake: features (M, D) of the generated images.
        """
