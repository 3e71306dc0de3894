"""Which images a step sees: a function of seed and step, so that nothing has to be remembered."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from torch import Tensor

from ..diffusion.images import Images, Indices
from ..errors import InputError
from ..plugin.draws import stream


class Batches:
    """An epoch is ``repeats`` shuffled passes over the images, cut into batches; the rest drops."""

    def __init__(self, indices: Indices, seed: int, batch_size: int, repeats: int) -> None:
        self.indices, self.seed, self.size, self.repeats = indices, seed, batch_size, repeats
        self.per_epoch = len(indices) * repeats // batch_size
        if not self.per_epoch:
            raise InputError(
                f"train.batch_size {batch_size} is larger than one epoch: {len(indices)} images "
                f"in {repeats} passes. Make it smaller, or train.repeats larger."
            )
        self._shuffled = lru_cache(maxsize=2)(self._shuffle)

    def __getitem__(self, step: int) -> Indices:
        """The indices of training step 0, 1, …"""
        epoch, batch = divmod(step, self.per_epoch)
        places = np.arange(batch * self.size, (batch + 1) * self.size)
        passes, within = np.divmod(places, len(self.indices))
        found = np.empty_like(places)
        for one in np.unique(passes):
            here = passes == one
            found[here] = self._shuffled(epoch * self.repeats + int(one))[within[here]]
        return found

    def _shuffle(self, one_pass: int) -> Indices:
        return stream(self.seed, "order", step=one_pass).permutation(self.indices)


def in_batches(images: Images, indices: Indices, size: int) -> Iterator[Tensor]:
    """uint8 (n, C, H, W), once through, in order."""
    for start in range(0, len(indices), size):
        yield images.batch(indices[start : start + size])
