"""The work that ranks share: rows of a batch, whole batches, and values that all must know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import Failed

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


class Shares:
    """One of ``size`` ranks. A process that is alone has the whole of everything.

    All ranks have to call the same methods in the same order; torch is imported only where there
    are several.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        """Whether this rank decides, writes and tells."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This rank's part of ``count`` rows: consecutive, as large as another's or by one."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def dealt(self, rows: Sequence[T], batch_size: int) -> Sequence[T]:
        """The rows of this rank's batches: whole ones, dealt in turn, as ``in_order`` wants them.

        Cut into ``batch_size`` again, they are the batches that one rank alone has.
        """
        if self.size == 1:
            return rows
        starts = range(self.rank * batch_size, len(rows), self.size * batch_size)
        return [row for start in starts for row in rows[start : start + batch_size]]

    def in_order(self, batches: Iterable[T], total: int) -> Iterator[T]:
        """All ``total`` batches, each computed by the rank it was dealt to: on rank 0 in order.

        The other ranks get none, and have to go through it all the same.
        """
        if self.size == 1:
            yield from batches
            return
        own = iter(batches)
        for _ in range(0, total, self.size):
            yield from self.gathered(list(islice(own, 1)))

    def gathered(self, own: Sequence[T]) -> list[T]:
        """On rank 0 what all ranks have, which was dealt in turn; elsewhere nothing."""
        if self.size == 1:
            return list(own)
        from torch import distributed

        found: list[Any] | None = [None] * self.size if self.leads else None
        distributed.gather_object(list(own), found)
        nothing = object()
        turns = zip_longest(*(found or []), fillvalue=nothing)
        return [item for turn in turns for item in turn if item is not nothing]

    def told(self, make: Callable[[], T]) -> T:
        """Call ``make`` on rank 0 alone, and return its value on all ranks."""
        if self.size == 1:
            return make()
        from torch import distributed

        value: list[Any] = [make() if self.leads else None]
        distributed.broadcast_object_list(value)
        found: T = value[0]
        return found

    def agreed(self, *wishes: int) -> list[int]:
        """The highest of each that a rank has; this waits for all."""
        if self.size == 1:
            return list(wishes)
        import torch
        from torch import distributed

        values = torch.tensor(wishes)
        distributed.all_reduce(values, distributed.ReduceOp.MAX)
        return [int(value) for value in values]

    def summed(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The sum over all ranks of each of these numbers."""
        if self.size == 1:
            return dict(values)
        import torch
        from torch import distributed

        together = torch.stack(list(values.values()))
        distributed.all_reduce(together)
        return dict(zip(values, together, strict=True))

    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Give the tensors of all ranks the values that rank 0's have."""
        if self.size == 1:
            return
        import torch
        from torch import distributed

        # As bytes: gloo does not know every dtype.
        flat = [tensor.detach().reshape(-1).view(torch.uint8) for tensor in tensors]
        together = torch.cat(flat)
        distributed.broadcast(together, 0)
        start = 0
        for tensor, own in zip(tensors, flat, strict=True):
            part = together[start : start + len(own)].clone()  # from an address of its own
            tensor.copy_(part.view(tensor.dtype).view_as(tensor))
            start += len(own)

    def check_equal(self, digest: Callable[[], str], what: str) -> None:
        """Failed on rank 0 unless all ranks have the same digest of something."""
        own = digest() if self.size > 1 else ""
        digests = self.gathered([own])
        others = [rank for rank, other in enumerate(digests) if other != own]
        if others:
            raise Failed(
                f"{what} of rank {others[0]} differ from those of rank 0: this is a fault of the "
                "program, of a plugin or of the machine; nothing of it was saved"
            )
