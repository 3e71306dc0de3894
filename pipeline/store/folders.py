"""Files and folders that appear and vanish at once, and what to say when the disk refuses.

Everything is made under a private name beside its own, written through to the disk and renamed: a
reader sees the old or the new, never a half, also after a kill or a loss of power.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import FULL, Failed, InputError, errno_of, fault_of, path_of
from ..format import AS_TOLD
from ..system import c_library, sync

UNSYNCED = (errno.EINVAL, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What file systems say that cannot sync a folder."""

OPEN = (errno.EBUSY, errno.ENOTEMPTY)
"""What NFS says of a file that is open, which stays as ``.nfs…``, and of its folder."""

PRIVATE = ".*.tmp"
"""The pattern of private names: what a killed process leaves is called so."""
_EXACTLY = re.compile(r"\..{0,16}\.[0-9a-f]{8}\.tmp", re.DOTALL)
"""What ``PRIVATE`` leaves open: a file of somebody else's is never taken for a leftover."""


def fsync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, survive a loss of power."""
    try:
        with naming(path):
            sync(path)
    except OSError as error:
        if error.errno not in UNSYNCED or not path.is_dir():
            raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, if need be, so that their names survive."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        fsync(path.parent)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path of a file to write, which replaces ``path`` when the block ends without an error.

    Whatever writes it, the file gets the mode that the process's umask asks for.
    """
    partial = _private(path)
    try:
        with naming(path, partial):
            partial.touch(exist_ok=False)
            mode = partial.stat().st_mode
            yield partial
            if partial.stat().st_mode != mode:
                partial.chmod(mode)
            fsync(partial)
            partial.replace(path)
            fsync(path.parent)
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def naming(path: Path, private: Path | None = None) -> Iterator[None]:
    """Give the system's errors the path they are about, where they name none or a private one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and path_of(error) in ("", str(private)):
            error.filename = str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file as UTF-8 in one go: readers see the old text or the new one."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", errors=AS_TOLD)


@contextmanager
def private(final: Path, stays: Callable[[], bool] = lambda: True) -> Iterator[Path]:
    """An empty folder beside ``final`` that gets its name when the block ends without an error.

    What is there by then, because another process was first or from before, stays if ``stays()``;
    else it is removed after the new folder has taken its place.
    """
    folder = _private(final)
    make_folder(final.parent)
    folder.mkdir()
    try:
        yield folder
        for inner in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            fsync(inner)
        _take_place(folder, final, stays)
        fsync(final.parent)
    except FileNotFoundError as error:
        if folder.is_dir():
            raise
        raise Failed(
            f"{final}: somebody removed it while it was being made; give the same command again"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take_place(folder: Path, final: Path, stays: Callable[[], bool]) -> None:
    """Give ``folder`` the name ``final``; ``folder`` is what was there before, if anything was."""
    old = _private(final)
    while not _renamed(folder, final):
        if stays() or _exchanged(folder, final):
            return
        with suppress(FileNotFoundError):  # another process does the same
            final.rename(old)
        if _renamed(folder, final):
            old.rename(folder)
            return
        shutil.rmtree(old, ignore_errors=True)  # another process was faster


def _renamed(folder: Path, final: Path) -> bool:
    """Rename a folder; False where there is one of that name, that is not empty."""
    try:
        folder.rename(final)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names at once, where the system can: no moment without either."""
    call = getattr(c_library(), "renameat2", None)
    if call is None:
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(call(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def remove(folder: Path) -> None:
    """Remove a folder if it is there. It is renamed first: half of one must not look complete.

    What is open on NFS stays under the private name, as a killed process's leftovers do.
    """
    if folder.exists():
        renamed = folder.rename(_private(folder))
        fsync(folder.parent)
        try:
            shutil.rmtree(renamed)
        except OSError as error:
            if error.errno not in OPEN:
                raise


HOUR = 3600.0
"""Seconds after which a private file that has not changed is taken for a killed process's, where
others may be writing."""


def is_leftover(path: Path) -> bool:
    """Whether it has a private name: the work of a process that goes on or was killed."""
    return _EXACTLY.fullmatch(path.name) is not None


def remove_leftovers(folder: Path, seconds: float = 0, *, deep: bool = True) -> None:
    """Remove what killed processes left unfinished in a folder that nobody else is writing to.

    Only what has not changed for so many ``seconds``; ``deep``: in the folders in it too.
    """
    found = folder.rglob(PRIVATE) if deep else folder.glob(PRIVATE)
    for path in filter(is_leftover, list(found)):
        with suppress(FileNotFoundError):
            if time.time() - path.lstat().st_mtime < seconds:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
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
    """Failed, with path and cause, for what the machine refuses below a store; other errors pass.

    InputError where the store is no folder.
    """
    try:
        yield
    except Exception as error:
        number, name = errno_of(error), path_of(error)
        inside = bool(name) and Path(name).is_relative_to(root)
        if number in FULL:
            raise Failed(
                f"{fault_of(error)} (`pipeline cache gc` removes what no run uses) or choose "
                "another place for the store with --store"
            ) from error
        if number and inside:
            raise Failed(
                f"{fault_of(error)}: the store cannot be used; make it a folder that can be "
                "written, or choose another place with --store"
            ) from error
        if inside and getattr(error, "errno", None) in (errno.ENOTDIR, errno.EEXIST):
            raise InputError(
                f"{root}: the store cannot be used: {error}. Make it a folder that can be written, "
                "or choose another place with --store"
            ) from error
        raise
