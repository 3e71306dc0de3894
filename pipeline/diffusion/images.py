"""Image files as RGB pixels, and the reader of a prepared dataset."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import h5py
import numpy as np
import numpy.typing as npt
import psutil
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

Bytes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]


def to_tensor(image: Image.Image) -> Tensor:
    """An RGB picture as float32 (3, H, W) in [0, 1]."""
    import torch

    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div_(255)


class Images:
    """A prepared dataset: uint8 pixels, labels and split. The file is open only while it is read.

    Pixels stay in memory from the first batch on if they take less than half of what is free.
    """

    def __init__(self, path: Path) -> None:
        """Read all but the pixels."""
        self.path = path
        with h5py.File(path) as file:
            self.shape: tuple[int, int, int] = file["images"].shape[1:]
            """(C, H, W) of every image."""
            self.labels: npt.NDArray[np.int64] = file["labels"][:]
            """A class index for each image, or -1."""
            self.is_validation: npt.NDArray[np.bool_] = file["validation"][:]
            self.class_names: list[str] = file["class_names"].asstr()[:].tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def indices(self, split: Literal["train", "validation"]) -> Indices:
        """Of the images in this half, ascending."""
        return np.flatnonzero(self.is_validation == (split == "validation"))

    def batch(self, indices: Sequence[int] | Indices) -> Tensor:
        """uint8 (N, C, H, W), in the order of ``indices``, which may repeat."""
        import torch

        wanted = np.asarray(indices, dtype=np.int64)
        if self._in_memory is not None:
            return torch.from_numpy(self._in_memory[wanted])
        with h5py.File(self.path) as file:
            data = file["images"]
            # One by one: h5py takes 28 times as long for a list of indices.
            return torch.from_numpy(np.stack([data[i] for i in wanted]))

    @cached_property
    def _in_memory(self) -> Bytes | None:
        size = len(self) * int(np.prod(self.shape))
        if size >= psutil.virtual_memory().available / 2:
            return None
        with h5py.File(self.path) as file:
            pixels: Any = file["images"][:]
        return np.asarray(pixels, dtype=np.uint8)
