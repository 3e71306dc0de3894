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
    """The images of each step of a training.

    An epoch is ``repeats`` shuffled passes over the images, cut into steps of ``batch_size`` times
    ``accumulate`` images; the rest is dropped.
    """

    def __init__(
        self, indices: Indices, seed: int, batch_size: int, repeats: int, accumulate: int = 1
    ) -> None:
        self.indices, self.seed, self.repeats = indices, seed, repeats
        self.size = batch_size * accumulate
        self.per_epoch = len(indices) * repeats // self.size
        if not self.per_epoch:
            passes = "1 pass" if repeats == 1 else f"{repeats} passes"
            times = f" times train.accumulate {accumulate}" if accumulate > 1 else ""
            raise InputError(
                f"train.batch_size {batch_size}{times} is larger than one epoch: {len(indices)} "
                f"images in {passes}. Make it smaller, or train.repeats larger."
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
    """The steps over these training images, as a recipe's section ``train`` cuts them."""
    return Batches(
        indices, seed, settings.batch_size, settings.repeats, accumulate=settings.accumulate
    )


def check_shares(settings: Train, ranks: int) -> None:
    """InputError where a batch has fewer images than there are ranks to share it."""
    if settings.batch_size < ranks:
        raise InputError(
            f"train.batch_size {settings.batch_size}: {ranks} processes share a batch, an image "
            f"each at least; make it {ranks} or more, or start fewer processes"
        )


def in_parts(step: Indices, batch_size: int) -> Iterator[tuple[range, Indices]]:
    """The images of a step, ``batch_size`` at a time, with their positions in the step."""
    for start in range(0, len(step), batch_size):
        part = step[start : start + batch_size]
        yield range(start, start + len(part)), part


def in_batches(images: Images, indices: Indices, size: int) -> Iterator[Tensor]:
    """The images of these indices in order, uint8 (n, C, H, W) with n up to ``size``."""
    for start in range(0, len(indices), size):
        yield images.batch(indices[start : start + size])
