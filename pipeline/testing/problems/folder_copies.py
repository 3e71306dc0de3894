"""Copies of a dataset's folder that can be changed, and directories in another order."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from ...plugin.data import Dataset, Source
from ...plugin.options import options
from ...plugin.photo import open_rgb
from ...plugin.stage import options_of

COPIED = 32 * 2**20
"""Bytes of a folder up to which its files are copied; those of a larger one are linked to."""
SIDE = 320
"""Height and width of bitmaps: 300 kB, of which a part would be read by whoever reads a part."""
FILES = 50_000
"""A folder with more files is not copied."""


class FolderCopy:
    """A dataset stage whose folder is a copy. Its files are changed by ``write`` only."""

    def __init__(self, stage: Dataset, original: Path, root: Path) -> None:
        self.stage, self.original, self.root = stage, original, root

    def at(self, path: Path) -> Path:
        """Where the copy of this file is."""
        return self.root / os.path.relpath(path, self.original)

    def write(self, path: Path, content: bytes) -> None:
        """Put other content under the same name and time. What was there may be a link."""
        before = path.stat()
        path.unlink()
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def is_of_files(source: Source) -> bool:
    """Whether its images are files, which the engine opens."""
    return len(source) > 0 and isinstance(source.image(0), Path)


@contextmanager
def folder_copy(stage: Dataset) -> Iterator[FolderCopy | None]:
    """The stage with a copy of its folder, told by its first image; None where there is no folder.

    The folder is the option for places only in which the image lies; for images that are no files,
    the first such option that names a folder.
    """
    known = _folder(stage, stage().image(0))
    if known is None:
        yield None
        return
    name, original = known
    with TemporaryDirectory() as temporary:
        root = Path(temporary).resolve() / original.name
        if not _copy(original, root):
            yield None
            return
        given = options_of(stage)
        given[name] = str(root) if isinstance(given[name], str) else root
        yield FolderCopy(type(stage)(**given), original, root)


def bitmaps(path: Path) -> list[bytes]:
    """An image file's picture as a large bitmap, and others as large with one other pixel."""
    pixels = np.array(open_rgb(path).resize((SIDE, SIDE)))
    found = [_bitmap(pixels)]
    for place in ((0, -1, 0), (SIDE // 2, SIDE // 3, 1), (-1, 1, 2)):
        changed = pixels.copy()
        changed[place] ^= 1
        found.append(_bitmap(changed))
    return found


ORDERS: dict[str, Callable[[str], Any]] = {
    "ascending": lambda name: name,
    "descending": lambda name: [-ord(letter) for letter in name] + [1],
    "mixed": lambda name: hashlib.sha256(name.encode()).digest(),
}
"""Orders in which a file system may list a directory, as keys to sort names by."""


@contextmanager
def directories_listed(order: Callable[[str], Any]) -> Iterator[None]:
    """All of Python's ways to list a directory list it in this order of names."""

    def by_name(entry: Any) -> Any:
        return order(os.fsdecode(entry.name if isinstance(entry, os.DirEntry) else entry))

    def ordered(list_it: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *a, **k: iter(sorted(list_it(*a, **k), key=by_name))

    def listdir(*a: Any, _list: Any = os.listdir, **k: Any) -> Any:
        return sorted(_list(*a, **k), key=by_name)

    def scandir(*a: Any, _scan: Any = os.scandir) -> _Entries:
        with _scan(*a) as entries:
            return _Entries(sorted(entries, key=by_name))

    with ExitStack() as patches:
        patches.enter_context(patch.object(os, "listdir", listdir))
        patches.enter_context(patch.object(os, "scandir", scandir))
        for name in ("iterdir", "glob", "rglob"):  # some versions keep os.scandir from before
            real = getattr(pathlib.Path, name)
            patches.enter_context(patch.object(pathlib.Path, name, ordered(real)))
        yield


class _Entries:
    """What ``os.scandir`` gives, from a list."""

    def __init__(self, entries: list[os.DirEntry[str]]) -> None:
        self._left = iter(entries)

    def __iter__(self) -> _Entries:
        return self

    def __next__(self) -> os.DirEntry[str]:
        return next(self._left)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open."""


def _folder(stage: Dataset, item: object) -> tuple[str, Path] | None:
    """The option that names the folder, and the folder."""
    for name, option in options(type(stage)).items():
        value = getattr(stage, option.field)
        if not option.io_only or not isinstance(value, (str, Path)) or not Path(value).is_dir():
            continue
        root = Path(os.path.abspath(value))
        if not isinstance(item, Path) or Path(os.path.abspath(item)).is_relative_to(root):
            return name, root
    return None


def _copy(original: Path, root: Path) -> bool:
    """Whether the files were copied or linked to; not if there are too many."""
    files = [
        Path(top, name) for top, _, names in os.walk(original, followlinks=True) for name in names
    ]
    if len(files) > FILES:
        return False
    small = sum(file.stat().st_size for file in files if file.is_file()) <= COPIED
    for file in files:
        to = root / file.relative_to(original)
        to.parent.mkdir(parents=True, exist_ok=True)
        if small and file.is_file():
            shutil.copyfile(file, to)  # with a time of now
        else:
            to.symlink_to(file)
    return True


def _bitmap(pixels: np.ndarray[Any, Any]) -> bytes:
    content = BytesIO()
    Image.fromarray(pixels).save(content, "BMP")
    return content.getvalue()
