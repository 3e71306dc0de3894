"""Random numbers that depend on what they are for, not on what was drawn before.

Each row of a batch has its own stream of the counter-based generator Philox4x64-10 (Salmon et al.
2011, https://doi.org/10.1145/2063384.2063405): the key is (seed, purpose), the counter starts at
(draw number, row, step). So a resumed run, another batch size or two processes draw the same
numbers, and there is no state to save. They are made where they are wanted: numpy makes the words
on the CPU, torch the same words elsewhere. Uniform numbers are equal to the bit on every device,
normal ones within 4e-6, as logarithm, sine and cosine are rounded differently.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from threading import local
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor, device

Purpose = Literal[
    "weights", "order", "labels", "train", "train_network", "validate", "sample", "evaluate"
]
Bits = Literal[32, 64]
"""How wide a number is made: float32 from 32 bits, float64 from 64."""
Numbers = Callable[[ModuleType, Any, Bits], Any]
"""From integers (N, 2k) of numpy or torch to numbers of the same shape."""
AT_ONCE = 2**15
"""Words that are made into numbers at once on the CPU."""
RECORDED = 2**20
"""Up to so many words the kernels of a GPU are recorded: more keep it busy, and take its memory."""


def stream(
    seed: int, purpose: Purpose, row: int = 0, step: int = 0, draw: int = 0
) -> np.random.Generator:
    """The one stream of numbers for this purpose, row, step and draw."""
    # The lowest word of the counter counts the numbers themselves.
    counter = np.array([0, draw, row, step], dtype=np.uint64)
    philox = np.random.Philox(key=np.array(_key(seed, purpose), dtype=np.uint64), counter=counter)
    return np.random.Generator(philox)


class Draws:
    """Random tensors whose row i comes from the stream of ``rows[i]``.

    ``rows`` are the images' indices, or their positions in the global batch of ``step``. ``batch``
    are all rows that are worked on together, where other processes have some of them; else it is
    ``rows``. Each call is a new draw.
    """

    def __init__(
        self,
        seed: int,
        purpose: Purpose,
        rows: Sequence[int],
        step: int = 0,
        batch: Sequence[int] | None = None,
    ) -> None:
        self.seed, self.purpose, self.rows, self.step = seed, purpose, rows, step
        self.batch = rows if batch is None else batch
        self.draw = 0

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers of the shape, dtype and device of ``like`` (N, …)."""
        return self._fill(like, _normal)

    def uniform(self, like: Tensor) -> Tensor:
        """Numbers in [0, 1) of the shape, dtype and device of ``like`` (N, …)."""
        return self._fill(like, _uniform)

    def _fill(self, like: Tensor, numbers: Numbers) -> Tensor:
        import torch  # here: a plugin that imports Draws shall not wait for it before it is used

        if len(like) != len(self.rows):
            raise ValueError(f"{len(like)} rows asked of draws for {len(self.rows)}")
        # Reduced precision is rounded from float32.
        bits: Bits = 64 if like.dtype == torch.float64 else 32
        shape = like.shape
        size = math.prod(shape[1:])
        if like.device.type == "cpu":
            found = torch.from_numpy(self._by_numpy(numbers, size, bits).reshape(shape))
        else:
            found = self._by_torch(numbers, size, bits, like.device).reshape(shape)
        self.draw += 1
        return found.to(like)

    def _by_numpy(self, numbers: Numbers, size: int, bits: Bits) -> npt.NDArray[Any]:
        """So many numbers for each row (N, size), made of as many rows at once as caches hold."""
        kind, ints = (np.float64, np.int64) if bits == 64 else (np.float32, np.int32)
        found = np.empty((len(self.rows), size), kind)
        count = _count(size, bits)
        some = max(1, AT_ONCE // max(1, count))
        for i in range(0, len(self.rows), some):
            words = self._words(self.rows[i : i + some], count)
            found[i : i + some] = numbers(np, words.view(ints), bits)[:, :size]
        return found

    def _by_torch(self, numbers: Numbers, size: int, bits: Bits, device: device) -> Tensor:
        """The same on any device, without waiting for it."""
        import torch

        from .philox import rows_on, signed

        count = _count(size, bits)
        made_for = (numbers, bits, count, _key(self.seed, self.purpose), device)
        if device.type == "cuda" and 0 < len(self.rows) * count <= RECORDED:
            stream = torch.cuda.current_stream(device).cuda_stream
            make = _recorded(len(self.rows), stream, *made_for)
        else:
            make = _maker(*made_for)
        return make(signed(self.draw), signed(self.step), rows_on(self.rows, device))[:, :size]

    def _words(self, rows: Sequence[int], count: int) -> npt.NDArray[np.uint64]:
        """The first words of the streams of these rows, (len(rows), count)."""
        philox, state = _PHILOX.generator, _PHILOX.fresh
        key, counter = state["state"]["key"], state["state"]["counter"]
        key[0], key[1] = _key(self.seed, self.purpose)
        counter[1], counter[3] = self.draw, self.step
        words = np.empty((len(rows), count), np.uint64)
        for i, row in enumerate(rows):
            counter[2] = row
            philox.state = state
            words[i] = philox.random_raw(count)
        return words


class _OfThread(local):
    """numpy's generator, which takes longer to make than to fill a small tensor."""

    def __init__(self) -> None:
        self.generator = np.random.Philox(0)
        self.fresh: Any = self.generator.state
        """Its state before the first number."""


_PHILOX = _OfThread()


def _maker(
    numbers: Numbers, bits: Bits, count: int, key: tuple[int, int], device: device
) -> Callable[..., Tensor]:
    """From draw, step and rows to numbers, on any device."""
    import torch

    from .philox import rounds_of, words

    rounds = rounds_of(key, device)

    def make(draw: int | Tensor, step: int | Tensor, rows: Tensor) -> Tensor:
        ints = words(rounds, draw, step, rows, count)
        found = numbers(torch, ints.view(torch.int64 if bits == 64 else torch.int32), bits)
        return cast("Tensor", found)

    return make


@lru_cache(maxsize=16)
def _recorded(rows: int, stream: int, *made_for: Any) -> Callable[..., Tensor]:
    """The same for so many rows on a CUDA device, in one start for some 500 kernels."""
    import torch

    from .recorded import Recorded

    places = [
        torch.zeros(shape, dtype=torch.int64, device=made_for[-1]) for shape in ((), (), rows)
    ]
    return Recorded(_maker(*made_for), *places)


@lru_cache(maxsize=64)
def _key(seed: int, purpose: Purpose) -> tuple[int, int]:
    digest = hashlib.blake2b(purpose.encode(), digest_size=8).digest()
    return seed % 2**64, int.from_bytes(digest, "little")


def _count(size: int, bits: Bits) -> int:
    """How many words so many numbers need: pairs, of two halves of a word or of two words."""
    return -(-size // 2) * (bits // 32)


# Below, ``of`` is numpy or torch, whose functions have the same names, and ``ints`` (N, 2k) are its
# integers with signs, of so many bits.


def _uniform(of: ModuleType, ints: Any, bits: Bits) -> Any:
    """Numbers of the leading bits of each, as numpy's ``Generator.random`` makes them."""
    kept = 24 if bits == 32 else 53
    return _floats(of, ints >> (bits - kept) & 2**kept - 1, bits) * 2.0**-kept


def _normal(of: ModuleType, ints: Any, bits: Bits) -> Any:
    """Box and Muller 1958 (https://doi.org/10.1214/aoms/1177706645): points by radius and angle.

    The radius is of the first half of the integers, the angle of the second. In float32 no number
    is beyond 6.7, where one in 5e10 would be.
    """
    found = _floats(of, ints, bits)
    found *= 2.0 ** (1 - bits)  # in [-1, 1]
    half = ints.shape[1] // 2
    share = of.abs(found[:, :half]) + 2.0**-bits  # not 0, which has no logarithm
    radius = of.sqrt(of.log(share) * -2)
    angle = found[:, half:] * math.pi
    return of.concatenate((radius * of.cos(angle), radius * of.sin(angle)), 1)


def _floats(of: ModuleType, ints: Any, bits: Bits) -> Any:
    kind = of.float32 if bits == 32 else of.float64
    return ints.astype(kind) if of is np else ints.to(kind)
