"""Folders that appear and vanish at once, and what to tell when the disk does not let them."""

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


def fsync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def private(final: Path) -> Iterator[Path]:
    """An empty folder beside ``final`` that gets its name when the block ends without an error.

    Where another process was first, what is there stays. Otherwise nothing is left.
    """
    folder = _hidden(final)
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
    """Renamed first: a half-removed folder must not look complete."""
    if folder.exists():
        shutil.rmtree(folder.rename(_hidden(folder)))


def size_of(folder: Path) -> int:
    """Bytes of all files in it, as far as they are still there."""
    sizes = 0
    for path in folder.rglob("*"):
        try:
            sizes += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # another process finished or removed it meanwhile
            continue
    return sizes


def _hidden(folder: Path) -> Path:
    return folder.with_name(f".{folder.name.strip('.')[:16]}.{secrets.token_hex(4)}.tmp")


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
