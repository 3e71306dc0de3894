"""Which images a step sees: a function of seed and step, so that nothing has to be remembered."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from torch import Tensor

from ..diffusion.images import Images, Indices
from ..errors import InputError
from ..plugin.draws import stream
from ..recipe.schema import Train


class Batches:
    """The batches of a training.

    An epoch is ``repeats`` shuffled passes over the images, cut into batches; the rest is dropped.
    """

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
        """The indices of the images that training step 0, 1, … sees."""
        epoch, batch = divmod(step, self.per_epoch)
        positions = np.arange(batch * self.size, (batch + 1) * self.size)
        passes, within = np.divmod(positions, len(self.indices))
        chosen = np.empty_like(positions)
        for number in np.unique(passes):
            here = passes == number
            chosen[here] = self._shuffled(epoch * self.repeats + int(number))[within[here]]
        return chosen

    def _shuffle(self, number: int) -> Indices:
        """The indices in the order of a pass, which are numbered through all epochs."""
        return stream(self.seed, "order", step=number).permutation(self.indices)


def training_batches(indices: Indices, seed: int, settings: Train) -> Batches:
    """The batches of these training images, as a recipe's section ``train`` cuts them."""
    return Batches(indices, seed, settings.batch_size, settings.repeats)


def in_batches(images: Images, indices: Indices, size: int) -> Iterator[Tensor]:
    """The images of these indices in order, uint8 (n, C, H, W) with n up to ``size``."""
    for start in range(0, len(indices), size):
        yield images.batch(indices[start : start + size])
