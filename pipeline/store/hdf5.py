"""HDF5 files: written so that a full disk is an error and no crash, read as if by a stranger."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from ..errors import InputError, errno_of
from .checked import Damaged
from .folders import naming

FLETCHER32 = 3
"""The number of the only filter that we write: HDF5 would load others' code from plugins."""


@contextmanager
def writing(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file to fill; an error of the disk is raised when it has been closed.

    HDF5 itself ends in a segmentation fault when it cannot write what it holds back. So it never
    learns of errors.
    """
    with naming(path), path.open("w+b", buffering=0) as raw:
        disk = _Disk(raw)
        try:
            with h5py.File(disk, "w") as file:
                file.disk = disk
                yield file
        finally:
            if disk.error:
                raise disk.error


def check_disk(file: h5py.File) -> None:
    """Raise the error of a file that is being written, if there was one: the rest is in vain."""
    if file.disk.error:
        raise file.disk.error


class _Disk(io.RawIOBase):
    """A file that remembers the first error of writing, and reports writes as done."""

    def __init__(self, raw: io.FileIO) -> None:
        self.raw = raw
        self.error: OSError | None = None

    def write(self, data: object) -> int:
        """Write all of it, or remember why not."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        done = 0
        try:
            while done < len(view) and not self.error:
                done += self.raw.write(view[done:])
        except OSError as error:
            self.error = error
        return len(view)

    def readinto(self, buffer: object) -> int:
        """As the file's; what could not be written reads as zeros."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        count = self.raw.readinto(view) or 0
        view[count:] = bytes(len(view) - count)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size, or remember why not."""
        try:
            return self.raw.truncate(size)
        except OSError as error:
            self.error = self.error or error
        return size or 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As the file's."""
        return self.raw.seek(offset, whence)

    def tell(self) -> int:
        """As the file's."""
        return self.raw.tell()


class Datasets:
    """What is in an HDF5 file, as far as it is of the kind that we write.

    Links to elsewhere, virtual and external datasets and filters are refused, and so is whatever
    would take more memory than its bytes in the file. Each refusal is Damaged.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self.file = path, file
        self.size = path.stat().st_size

    def get(self, name: str, dtype: npt.DTypeLike, dimensions: int) -> h5py.Dataset:
        """The dataset of this name, not yet read."""
        dataset = self._plain(name)
        if dataset.dtype != np.dtype(dtype) or len(dataset.shape) != dimensions:
            raise Damaged(self.path, f"{name} is {dataset.dtype} of shape {dataset.shape}")
        chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
        if max(math.prod(dataset.shape) * dataset.dtype.itemsize, chunk) > self.size:
            raise Damaged(self.path, f"{name} of shape {dataset.shape} is not all in it")
        return dataset

    def strings(self, name: str) -> list[str]:
        """A dataset of texts (N,)."""
        dataset = self._plain(name)
        if h5py.check_string_dtype(dataset.dtype) is None or len(dataset.shape) != 1:
            raise Damaged(self.path, f"{name} is no list of texts")
        if dataset.shape[0] > self.size:
            raise Damaged(self.path, f"{name} of shape {dataset.shape} is not all in it")
        texts: list[str] = []
        left = self.size
        for start in range(0, dataset.shape[0], 64):  # a few: many may share the bytes of one
            texts.extend(dataset.asstr()[start : start + 64])
            left -= sum(1 + len(text) for text in texts[start:])
            if left < 0:
                raise Damaged(self.path, f"{name} is not all in it")
        return texts

    def text(self, name: str) -> str:
        """An attribute that is one text."""
        value = self.file.attrs[name] if self.file.attrs.get_id(name).shape == () else None
        if not isinstance(value, str):
            raise Damaged(self.path, f"{name} is no text")
        return value

    def _plain(self, name: str) -> h5py.Dataset:
        """A dataset that is wholly in this file, in bytes as they are."""
        if not isinstance(self.file.get(name, getlink=True), h5py.HardLink):
            raise Damaged(self.path, f"{name} is not in it")
        dataset = self.file[name]
        if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
            raise Damaged(self.path, f"{name} is no dataset")
        made = dataset.id.get_create_plist()
        filters = {made.get_filter(i)[0] for i in range(made.get_nfilters())}
        if dataset.is_virtual or dataset.external or filters - {FLETCHER32}:
            raise Damaged(self.path, f"{name} is virtual, external or filtered")
        return dataset


@contextmanager
def reading(path: Path) -> Iterator[Datasets]:
    """The datasets of an HDF5 file. Damaged, an InputError, for whatever HDF5 cannot read.

    Without HDF5's locks, which some file systems lack: these files never change.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield Datasets(path, file)
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, LookupError, TypeError, OverflowError) as error:
        if isinstance(error, FileNotFoundError) or errno_of(error):
            raise
        raise Damaged(path, str(error).splitlines()[0] if str(error) else "not HDF5") from error
