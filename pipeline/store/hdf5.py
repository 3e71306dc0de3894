"""HDF5 files: written so that a full disk is an error and no crash, read as if by a stranger."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

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


def write_rows(
    file: h5py.File, name: str, blocks: Iterable[npt.NDArray[Any]], shape: Sequence[int], chunk: int
) -> None:
    """A new dataset of this shape, filled in order with blocks of its rows, of any lengths.

    ``chunk`` rows have a checksum; so many, and one block, are in memory. ValueError for blocks
    that are not as many rows, or of another shape.
    """
    chunk, data, start = min(chunk, shape[0]), None, 0
    held: list[npt.NDArray[Any]] = []
    for block in blocks:
        if data is None:
            chunks = (chunk, *shape[1:])
            data = file.create_dataset(name, shape, block.dtype, chunks=chunks, fletcher32=True)
        if block.shape[1:] != data.shape[1:]:
            raise ValueError(f"{name}: rows of shape {block.shape[1:]}, not {data.shape[1:]}")
        held.append(block)
        count = sum(map(len, held))
        whole = count if start + count == shape[0] else count - count % chunk
        if whole:
            joined = np.concatenate(held)
            data[start : start + whole] = joined[:whole]
            held, start = [joined[whole:]], start + whole
            check_disk(file)
    if start != shape[0] or any(map(len, held)):
        raise ValueError(f"{name}: {start + sum(map(len, held))} rows, not {shape[0]}")


def gather(dataset: h5py.Dataset, indices: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """The rows of these indices, in their order; they may repeat.

    Rows that follow each other are read together, and others one by one: h5py takes 28 times as
    long for a list of indices.
    """
    rows = np.empty((len(indices), *dataset.shape[1:]), dataset.dtype)
    starts = [0, *(np.flatnonzero(np.diff(indices) != 1) + 1).tolist()]
    for start, end in pairwise([*starts, len(indices)]):
        first = int(indices[start]) if end else 0
        rows[start:end] = dataset[first : first + end - start]
    return rows


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


def as_texts(texts: Sequence[str]) -> npt.NDArray[np.bytes_]:
    """Texts as HDF5 holds them: UTF-8 of one length, padded with zeros, (N,).

    Of variable length they would stand in a heap of the file, and where that is damaged, HDF5 may
    read for ever. File names that are no UTF-8 keep their bytes.
    """
    encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
    return np.array(encoded, f"S{max(map(len, encoded), default=1)}")


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


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

    def texts(self, name: str) -> list[str]:
        """A dataset that ``as_texts`` made."""
        dataset = self.get(name, self._plain(name).dtype, 1)
        if dataset.dtype.kind != "S":
            raise Damaged(self.path, f"{name} is no list of texts")
        return [_decoded(text) for text in dataset[:]]

    def text(self, name: str) -> str:
        """An attribute that is one text, made by ``as_texts`` too."""
        made = self.file.attrs.get_id(name)
        if made.dtype.kind != "S" or made.shape != (1,):
            raise Damaged(self.path, f"{name} is no text")
        return _decoded(self.file.attrs[name][0])

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
