"""The images of each training step, on the device before the step wants them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from ..diffusion.images import Images, Indices
from ..machine import has_memory, sent
from ..ranks import here
from .batches import Batches, in_parts

Place = tuple[int, int]
"""The number of a step and of one of its batches."""


class Feed:
    """Gives the batches of a step, uint8 on the device.

    Where all images fit into half of the device's free memory they stay there, and only their
    indices are sent. Otherwise a thread reads the next batch while the device computes.
    """

    def __init__(self, images: Images, batches: Batches, batch_size: int, device: str) -> None:
        """Of each batch, ``batch_size`` images, it gives what is this rank's."""
        self.images, self.batches, self.batch_size = images, batches, batch_size
        self.device, self.world = device, here()
        self.waited = 0.0
        """Seconds in which a step had no images to go on with."""
        self._resident = images.resident(device)
        self._reader = ThreadPoolExecutor(1, "read ahead")
        self._ahead: dict[Place, Future[Tensor]] = {}

    def of_step(self, step: int) -> Iterator[tuple[range, Indices, Tensor]]:
        """Each batch of the step: its positions in the step, its images' indices, and images.

        With several ranks, this one's consecutive share of each.
        """
        for number, (rows, indices) in enumerate(self._parts(step)):
            started = time.monotonic()
            images = self._images(step, number, indices)
            self.waited += time.monotonic() - started
            yield rows, indices, images

    def _parts(self, step: int) -> list[tuple[range, Indices]]:
        parts = in_parts(self.batches[step], self.batch_size)
        own = self.world.share(self.batch_size)
        return [(rows[own], indices[own]) for rows, indices in parts]

    def _images(self, step: int, number: int, indices: Indices) -> Tensor:
        if self._resident is not None:
            return self._resident[sent(torch.from_numpy(indices), self.device)]
        asked = self._ahead.pop((step, number), None)
        images = self.images.batch(indices) if asked is None else asked.result()
        self._read_ahead(step, number + 1)
        return sent(images, self.device)

    def _read_ahead(self, step: int, number: int) -> None:
        """Begin to read this batch; where the step has no such, the first one of the next step."""
        parts = self._parts(step)
        if number == len(parts):
            step, number, parts = step + 1, 0, self._parts(step + 1)
        read = self._reader.submit(self._read, parts[number][1])
        self._ahead = {(step, number): read}

    def _read(self, indices: Indices) -> Tensor:
        """The images, where a GPU can fetch them by itself: to lay them there takes a while."""
        images = self.images.batch(indices)
        return images.pin_memory() if has_memory(self.device) else images
