"""Files and folders that appear and vanish at once, and what to say when the disk refuses.

Everything is made under a private name beside its own, written through to the disk and renamed: a
reader sees the old or the new, never a half, also after a kill or a loss of power.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT)
UNUSABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)

PRIVATE = ".*.tmp"
"""The pattern of private names: what a killed process leaves is called so."""


def fsync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of a file to write, which replaces ``path`` when the block ends without an error."""
    partial = _private(path)
    try:
        yield partial
        fsync(partial)
        partial.replace(path)
        fsync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file as UTF-8 in one go: readers see the old text or the new one."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def private(final: Path) -> Iterator[Path]:
    """An empty folder beside ``final`` that gets its name when the block ends without an error.

    Where another process was first, what is there stays. Otherwise nothing is left.
    """
    folder = _private(final)
    folder.mkdir(parents=True)
    try:
        yield folder
        for inner in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            fsync(inner)
        try:
            folder.rename(final)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        fsync(final.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a folder if it is there. It is renamed first: half of one must not look complete."""
    if folder.exists():
        shutil.rmtree(folder.rename(_private(folder)))


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left unfinished in a folder that nobody else is writing to."""
    for path in list(folder.rglob(PRIVATE)):
        if path.is_file():
            path.unlink()


def size_of(folder: Path) -> int:
    """The bytes of all files in a folder, as far as they are still there."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # another process finished or removed it meanwhile
            continue
    return total


def _private(path: Path) -> Path:
    """A new name beside ``path`` that matches ``PRIVATE``, short enough for any file system."""
    return path.with_name(f".{path.name.strip('.')[:16]}.{secrets.token_hex(4)}.tmp")


@contextmanager
def explaining_errors(root: Path) -> Iterator[None]:
    """InputError for a disk that is full or a store that cannot be written; other errors pass."""
    try:
        yield
    except Exception as error:
        number, name = getattr(error, "errno", None), getattr(error, "filename", None)
        # Some libraries report a full disk in their text only.
        if number in FULL or os.strerror(errno.ENOSPC) in str(error):
            raise InputError(
                f"{name or root}: the disk is full. Free some space (`pipeline cache gc` removes "
                "what no run uses) or choose another place for the store with --store"
            ) from error
        if number in UNUSABLE and isinstance(name, str) and Path(name).is_relative_to(root):
            raise InputError(
                f"{root}: the store cannot be used: {error}. Make it a folder that can be written, "
                "or choose another place with --store"
            ) from error
        raise
