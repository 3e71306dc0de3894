"""Every call that changes a folder, counted: at the k-th the process dies or the disk refuses.

Python's own calls are reached, HDF5 too, which writes through a file of Python. Not reached are
sqlite (``digests.sqlite``), ``renameat2`` and numpy's ``tofile`` (``pictures.npy``): random kills
and a limit on the size of files meet these.
"""

from __future__ import annotations

import builtins
import io
import os
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from errno import EACCES, EFBIG, EIO, ENOSPC, EROFS
from pathlib import Path
from typing import Any

NAMES = ("rename", "replace", "link", "unlink", "remove", "rmdir", "mkdir", "chmod", "utime")
"""Functions of ``os`` whose first arguments are paths."""
FILES = ("write", "pwrite", "fsync", "ftruncate", "sendfile")
"""Those whose first argument is a descriptor."""

REFUSALS = {
    "open": (ENOSPC, EIO, EROFS, EACCES),
    "write": (ENOSPC, EIO, EFBIG),
    "fsync": (EIO, ENOSPC),
    "truncate": (EIO, EFBIG),
    "mkdir": (ENOSPC, EROFS, EACCES),
    "link": (ENOSPC, EROFS, EACCES),
    "chmod": (EROFS,),
    "utime": (EROFS,),
}
"""What a system may say to each call; to others, that names are not to be changed, or EIO."""
OTHERS = (EROFS, EACCES, EIO)

LASTING = {
    ENOSPC: {"open", "write", "fsync", "mkdir", "link", "rename"},
    EROFS: {"open", "mkdir", "link", "rename", "unlink", "rmdir", "chmod", "utime"},
    EACCES: {"open", "mkdir", "link", "rename", "unlink", "rmdir"},
}
"""The calls that a full, read-only or forbidden disk goes on refusing; other errors come once."""

KINDS = {"replace": "rename", "remove": "unlink", "pwrite": "write", "sendfile": "write"}
KINDS |= {"ftruncate": "truncate"}


@dataclass(frozen=True)
class Point:
    """A place where a command may be met."""

    call: str
    path: str
    """In the folder, without what differs from run to run."""

    def __str__(self) -> str:
        return f"{self.call} {self.path}"


Meet = Callable[[Point, Callable[[], object]], None]
"""Called before each call; its second argument does half of a write, if the call is one."""


def watch(folder: Path, meet: Meet) -> None:
    """From now on call ``meet`` before each call of this process that changes the folder."""
    root = os.path.realpath(folder)

    def met(call: str, where: Any, half: Callable[[], object] = lambda: None) -> None:
        if (path := _below(root, where)) is not None:
            meet(Point(KINDS.get(call, call), path), half)

    for name in NAMES:
        setattr(os, name, _by_path(name, getattr(os, name), met))
    for name in FILES:
        setattr(os, name, _by_file(name, getattr(os, name), met))
    os.open = _open(os.open, met)
    builtins.open = io.open = _io_open(io.open, met)  # type: ignore[assignment]


def _below(root: str, where: Any) -> str | None:
    """The path in the folder, its private and content names made equal; None for other paths."""
    try:
        fd = isinstance(where, int)
        path = os.readlink(f"/proc/self/fd/{where}") if fd else os.fsdecode(where)
    except OSError:
        return None
    path = os.path.join(os.path.realpath(os.path.dirname(path) or "."), os.path.basename(path))
    if path != root and not path.startswith(root + "/"):
        return None
    path = re.sub(r"[0-9a-f]{32,64}", "KEY", path[len(root) + 1 :])
    return re.sub(r"(\.[0-9a-f]{16})?\.[0-9a-f]{8}\.tmp", ".NEW", path)


def _by_path(name: str, real: Callable[..., Any], met: Callable[..., None]) -> Callable[..., Any]:
    def call(path: Any, *args: Any, **more: Any) -> Any:
        if not isinstance(path, int) and (folder := more.get("dir_fd")) is not None:
            path_there = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), os.fsdecode(path))
            met(name, path_there)
        else:
            met(name, path)
        return real(path, *args, **more)

    return call


def _by_file(name: str, real: Callable[..., Any], met: Callable[..., None]) -> Callable[..., Any]:
    def call(file: int, *args: Any) -> Any:
        halves = name in ("write", "pwrite")
        half = (lambda: real(file, _half(args[0]), *args[1:])) if halves else (lambda: None)
        met(name, file, half)
        return real(file, *args)

    return call


def _half(data: Any) -> memoryview:
    view = memoryview(data).cast("B")
    return view[: len(view) // 2]


def _open(real: Callable[..., int], met: Callable[..., None]) -> Callable[..., int]:
    changes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

    def call(path: Any, flags: int, *args: Any, **more: Any) -> int:
        if flags & changes and more.get("dir_fd") is None:
            met("open", path)
        return real(path, flags, *args, **more)

    return call


def _io_open(real: Callable[..., Any], met: Callable[..., None]) -> Callable[..., Any]:
    class Raw(io.FileIO):
        """A file whose every write is met."""

        def write(self, data: Any) -> int:
            met("write", self.fileno(), lambda: super(Raw, self).write(_half(data)))
            return super().write(data)

        def truncate(self, size: int | None = None) -> int:
            met("truncate", self.fileno())
            return super().truncate(size)

    def call(
        file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, *args: Any, **m: Any
    ) -> Any:
        errors, newline = [*args, m.get("errors"), m.get("newline")][:2]
        if not set(mode) & set("wax+") or m.get("opener"):
            return real(file, mode, buffering, encoding, *args, **m)
        if not isinstance(file, int):
            met("open", file)
        raw = Raw(file, mode.replace("b", "").replace("t", ""), m.get("closefd", True))
        if buffering == 0:
            return raw
        buffer = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding, errors, newline)

    return call


# What to do at a point -------------------------------------------------------------------------


def record(folder: Path, into: Path) -> None:
    """Note all points in a file, one a line."""
    file = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    write = os.write
    watch(folder, lambda point, _: write(file, f"{point}\n".encode()) and None)


def die(folder: Path, number: int, halfway: bool) -> None:
    """Kill this process at the point of this number, or halfway through its write."""
    count = 0

    def meet(_: Point, half: Callable[[], object]) -> None:
        nonlocal count
        if count == number:
            if halfway:
                half()
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1

    watch(folder, meet)


def refuse(folder: Path, number: int, error: int) -> None:
    """Let the system refuse the point of this number, and later ones too where it would."""
    count = 0

    def meet(point: Point, _: object) -> None:
        nonlocal count
        count += 1
        if count - 1 == number or (count > number and point.call in LASTING.get(error, ())):
            named = () if point.call in ("write", "fsync", "truncate") else (point.path,)
            raise OSError(error, os.strerror(error), *named)

    watch(folder, meet)


def refusals(point: Point) -> Sequence[int]:
    """What the system may say at a point."""
    return REFUSALS.get(point.call, OTHERS)
