"""Rows that are read from a file when they are asked for: samples, features."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..store.hdf5 import gather, reading

MOST_IN_MEMORY = 2**25
"""Bytes of ``KeptRows`` that stay in memory."""


class StoredRows:
    """The rows of a dataset in an HDF5 file, which is open only while some are read."""

    def __init__(self, path: Path, name: str, dtype: npt.DTypeLike, dimensions: int) -> None:
        """Damaged, an InputError, where the file has no such dataset."""
        self.path, self.name, self.dtype = path, name, np.dtype(dtype)
        with reading(path) as data:
            self.shape: tuple[int, ...] = data.get(name, dtype, dimensions).shape
            """That of all rows together."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        """These rows: a slice, or indices in any order."""
        with reading(self.path) as data:
            stored = data.get(self.name, self.dtype, len(self.shape))
            values = stored[rows] if isinstance(rows, slice) else gather(stored, rows.numpy())
        return torch.from_numpy(values)


class KeptRows:
    """Rows float32 (N, D) that are added a block at a time to a file without a name."""

    def __init__(self, width: int, file: SpooledTemporaryFile[bytes]) -> None:
        self.shape = (0, width)
        self._file = file

    def add(self, block: Tensor) -> None:
        """Put these rows (n, D) at the end."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(block.numpy().tobytes())
        self.shape = (len(self) + len(block), self.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        """These rows: a slice, or indices in any order."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._read(start, stop)
            rows = torch.arange(start, stop, step)
        single = [self._read(i, i + 1) for i in rows.tolist()]
        return torch.cat([torch.empty(0, self.shape[1]), *single])

    def _read(self, start: int, stop: int) -> Tensor:
        values = torch.empty(max(0, stop - start), self.shape[1])
        self._file.seek(start * 4 * self.shape[1])
        self._file.readinto(values.numpy().data)
        return values


@contextmanager
def kept_rows(width: int, folder: Path) -> Iterator[KeptRows]:
    """Rows that are in memory while they are few, else on the disk of this folder.

    Nothing of them stays there, however the process ends.
    """
    with SpooledTemporaryFile(MOST_IN_MEMORY, dir=str(folder)) as file:
        yield KeptRows(width, file)
