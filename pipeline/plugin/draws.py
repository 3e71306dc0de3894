"""Random numbers that depend on what they are for, not on what was drawn before.

Each row of a batch has its own stream of the counter-based generator Philox (Salmon et al. 2011,
https://doi.org/10.1145/2063384.2063405): the key is (seed, purpose), the counter starts at
(draw number, row, step). So a resumed run, another batch size or two processes draw the same
numbers, and there is no state to save. They are made on the CPU, so every device sees the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Floats = type[np.float32] | type[np.float64]

Purpose = Literal[
    "weights", "order", "labels", "train", "train_network", "validate", "sample", "evaluate"
]


def stream(
    seed: int, purpose: Purpose, row: int = 0, step: int = 0, draw: int = 0
) -> np.random.Generator:
    """The one stream of numbers for this purpose, row, step and draw."""
    word = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
    key = np.array([seed % 2**64, word], dtype=np.uint64)
    # The lowest word of the counter counts the numbers themselves.
    counter = np.array([0, draw, row, step], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


class Draws:
    """Random tensors whose row i comes from the stream of ``rows[i]``.

    ``rows`` are the images' indices, or their positions in the global batch of ``step``.
    Each call is a new draw.
    """

    def __init__(self, seed: int, purpose: Purpose, rows: Sequence[int], step: int = 0) -> None:
        self.seed, self.purpose, self.rows, self.step = seed, purpose, rows, step
        self.draw = 0

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers of the shape, dtype and device of ``like`` (N, …)."""
        return self._fill(like, lambda row, size, dtype: row.standard_normal(size, dtype))

    def uniform(self, like: Tensor) -> Tensor:
        """Numbers in [0, 1) of the shape, dtype and device of ``like`` (N, …)."""
        return self._fill(like, lambda row, size, dtype: row.random(size, dtype))

    def _fill(
        self,
        like: Tensor,
        numbers: Callable[[np.random.Generator, tuple[int, ...], Floats], np.ndarray],
    ) -> Tensor:
        import torch  # here: a plugin that imports Draws shall not wait for it before it is used

        if len(like) != len(self.rows):
            raise ValueError(f"{len(like)} rows asked of draws for {len(self.rows)}")
        # Reduced precision is rounded from float32: numpy draws no narrower type.
        kind: Floats = np.float64 if like.dtype == torch.float64 else np.float32
        out = np.empty(like.shape, dtype=kind)
        for i, row in enumerate(self.rows):
            source = stream(self.seed, self.purpose, row, self.step, self.draw)
            out[i] = numbers(source, like.shape[1:], kind)
        self.draw += 1
        return torch.from_numpy(out).to(like)
