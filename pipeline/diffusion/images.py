"""The reader of a prepared dataset.

Pages of runs read pixels too and go without torch, which takes seconds to import. So torch is
imported only where tensors are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..machine import free_memory
from ..records import Plain
from ..store.checked import Damaged
from ..store.hdf5 import gather, reading

if TYPE_CHECKING:
    from torch import Tensor

Bytes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]
Array = npt.NDArray[Any]


@dataclass
class ImageFacts:
    """What is known of a prepared dataset without its pixels."""

    shape: tuple[int, int, int]
    """(C, H, W) of every image."""
    labels: Indices
    """A class index for each image, or -1."""
    is_validation: npt.NDArray[np.bool_]
    class_names: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    def indices(self, split: Literal["train", "validation"]) -> Indices:
        """The indices of the images in this half, ascending."""
        return np.flatnonzero(self.is_validation == (split == "validation"))

    def plain(self) -> Plain:
        """For a JSON file, which ``of_plain`` reads."""
        halves = self.is_validation.astype(int).tolist()
        found = {"shape": list(self.shape), "labels": self.labels.tolist(), "validation": halves}
        return {**found, "class_names": list(self.class_names)}

    @staticmethod
    def of_plain(given: Plain) -> ImageFacts:
        """What ``plain`` gave."""
        labels = np.array(given["labels"], np.int64)
        halves = np.array(given["validation"], bool)
        return ImageFacts(tuple(given["shape"]), labels, halves, list(given["class_names"]))


class Images(ImageFacts):
    """A prepared dataset: uint8 pixels, labels and split. The file is open only while it is read.

    Pixels are read when they are asked for, unless they are held; labels and split, 9 bytes an
    image, are always in memory.
    """

    content: tuple[str, type[np.generic]] = ("images", np.uint8)
    """The name and type of what is read."""

    def __init__(self, path: Path) -> None:
        """Read everything but the pixels from the HDF5 file that ``prepare`` wrote."""
        self.path = path
        with reading(path) as data:
            count, *shape = data.get(*self.content, 4).shape
            labels, halves = (
                data.get("labels", np.int64, 1)[:],
                data.get("validation", np.bool_, 1)[:],
            )
            super().__init__(tuple(shape), labels, halves, data.texts("class_names"))
        self.image_shape = self.shape
        self._held: Array | None = None
        labelled = ((self.labels >= -1) & (self.labels < len(self.class_names))).all()
        if not count == len(self.labels) == len(self.is_validation) or not labelled:
            raise Damaged(path, "its images, labels and classes do not belong together")

    @property
    def codec_state(self) -> Mapping[str, Tensor] | None:
        """The state of the codec that encoded them; None where they are images."""
        return None

    def batch(self, indices: Sequence[int] | Indices) -> Tensor:
        """The images uint8 (N, C, H, W) in the order of ``indices``, which may repeat."""
        import torch  # here, because pages read pixels without it

        if self._held is None:
            return torch.from_numpy(self.pixels(indices))
        return torch.from_numpy(self._held[np.asarray(indices, dtype=np.int64)])

    def hold(self) -> None:
        """Keep all pixels in memory from now on, if they take less than half of what is free."""
        name, kind = self.content
        size = len(self) * int(np.prod(self.shape)) * np.dtype(kind).itemsize
        if self._held is None and size < free_memory("cpu") / 2:
            with reading(self.path) as data:
                self._held = np.asarray(data.get(name, kind, 4)[:], dtype=kind)

    def resident(self, device: str) -> Tensor | None:
        """All images on the device, uint8 (N, C, H, W), if they leave half of its memory free.

        They are held.
        """
        import torch  # here for the same reason

        self.hold()
        if self._held is None:
            return None
        images = torch.from_numpy(self._held)
        if images.device == torch.device(device):
            return images
        return None if images.nbytes >= free_memory(device) / 2 else images.to(device)

    def pixels(self, indices: Sequence[int] | Indices) -> Array:
        """The same as an array, read from the file."""
        with reading(self.path) as data:
            images = data.get(*self.content, 4)
            return gather(images, np.asarray(indices, dtype=np.int64))


class Latents(Images):
    """Prepared images as a codec encoded them once: float32 x0 in place of pixels."""

    content = ("latents", np.float32)

    def __init__(self, folder: Path, file: str, codec: str) -> None:
        """Read everything but x0 from the HDF5 ``file``; the state of the codec is ``codec``."""
        super().__init__(folder / file)
        with reading(self.path) as data:
            channels, height, width = map(int, data.get("image_shape", np.int64, 1)[:])
        self.image_shape = channels, height, width
        self._codec = folder / codec

    @property
    def codec_state(self) -> Mapping[str, Tensor]:
        """The state of the codec that encoded them."""
        from ..store.weights import read_weights  # here: it imports torch

        return read_weights(self._codec)[0]
