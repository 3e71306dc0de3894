"""Losses of power: what a disk may hold if it stops at any moment of what was traced.

A disk keeps for certain only what was synced: a file's bytes by ``fsync`` of the file, a name by
``fsync`` of its folder. Of what was not, any part may be there and any part may be missing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

Names = dict[str, int | None]
"""Changes of the names in a folder: the node that has the name now; None where the name went."""

CHANGING = ("rename", "replace", "unlink", "remove", "rmdir", "mkdir", "link")
"""The calls after which a disk is looked at; bytes are written in between."""


@dataclass(frozen=True)
class Folder:
    """The names that are certain, and what has changed since, oldest first."""

    synced: Names
    pending: tuple[Names, ...] = ()


@dataclass(frozen=True)
class File:
    """The bytes that are certain, and those that were written."""

    synced: bytes
    written: bytes


@dataclass
class Disk:
    """A folder that is watched: its nodes at every moment, and what was promised until then."""

    root: Path
    nodes: dict[int, Folder | File] = field(default_factory=dict)
    ids: dict[int, int] = field(default_factory=dict)
    """The node of each inode that is there now; inodes are used again, nodes are not."""
    moments: list[tuple[dict[int, Folder | File], Any]] = field(default_factory=list)
    promised: Any = None

    def promise(self, value: Any) -> None:
        """From now on every state of the disk must hold this."""
        self.look()
        self.promised = value
        self.moments[-1] = (self.moments[-1][0], value)

    def look(self, synced: int | None = None) -> None:
        """Note what has changed; ``synced`` is the inode that has just been written through."""
        seen: set[int] = set()
        self._look_at(self.root, seen)
        self.ids = {inode: node for inode, node in self.ids.items() if inode in seen}
        node = self.nodes.get(self.ids.get(synced or 0, -1))
        if isinstance(node, File):
            self.nodes[self.ids[synced or 0]] = File(node.written, node.written)
        elif isinstance(node, Folder):
            self.nodes[self.ids[synced or 0]] = Folder(_applied(node.synced, node.pending))
        self.moments.append((dict(self.nodes), self.promised))

    def _look_at(self, path: Path, seen: set[int]) -> int:
        inode = path.stat().st_ino
        seen.add(inode)
        number = self.ids.setdefault(inode, len(self.nodes))
        known = self.nodes.get(number)
        if path.is_dir():
            self.nodes.setdefault(number, Folder({}))
            names: Names = {inner.name: self._look_at(inner, seen) for inner in path.iterdir()}
            folder = self.nodes[number]
            assert isinstance(folder, Folder)
            before = _applied(folder.synced, folder.pending)
            changes = {name: None for name in before if name not in names} | {
                name: node for name, node in names.items() if before.get(name) != node
            }
            if changes:
                self.nodes[number] = Folder(folder.synced, (*folder.pending, changes))
        else:
            self.nodes[number] = File(
                known.synced if isinstance(known, File) else b"", path.read_bytes()
            )
        return number

    def after_every_cut(self, into: Path) -> Iterator[tuple[Path, Any]]:
        """Each different state that a loss of power could leave, as a folder, with the promise.

        ``into`` is emptied before each.
        """
        told = set()
        for nodes, promised in self.moments:
            for keeps in _choices(nodes):
                for data in (True, False):
                    state = _content(nodes, 0, keeps, data)
                    if (known := (repr(state), repr(promised))) not in told:
                        told.add(known)
                        shutil.rmtree(into, ignore_errors=True)
                        _make(into, state)
                        yield into, promised


@contextmanager
def watched(root: Path) -> Iterator[Disk]:
    """Watch what happens in a folder; all that is there before is certain."""
    disk = Disk(root)
    for inode in (root, *root.rglob("*")):
        disk.look(inode.stat().st_ino)
    disk.moments = disk.moments[-1:]

    def watching(call: Callable[..., Any], *, sync: bool = False) -> Callable[..., Any]:
        def watched_call(*args: Any, **kwargs: Any) -> Any:
            disk.look()  # bytes that were written until now
            result = call(*args, **kwargs)
            disk.look(os.fstat(args[0]).st_ino if sync else None)
            return result

        return watched_call

    calls = {name: watching(getattr(os, name)) for name in CHANGING}
    calls |= {name: watching(getattr(os, name), sync=True) for name in ("fsync", "fdatasync")}
    with patch.multiple(os, **calls):
        yield disk
    disk.look()


def _applied(names: Names, changes: tuple[Names, ...]) -> Names:
    for change in changes:
        names = {**names, **change}
    return {name: node for name, node in names.items() if node is not None}


def _choices(nodes: dict[int, Folder | File]) -> Iterator[Callable[[int, int, int], bool]]:
    """Which pending changes of names reached the disk: all, none, the first few, all but one."""
    most = max((len(n.pending) for n in nodes.values() if isinstance(n, Folder)), default=0)
    yield lambda node, i, count: False
    yield lambda node, i, count: True
    for k in range(most):
        yield lambda node, i, count, k=k: i <= k  # type: ignore[misc]
        yield lambda node, i, count, k=k: i != k  # type: ignore[misc]
        yield lambda node, i, count, k=k: i == k  # type: ignore[misc]
    for folder in [n for n, found in nodes.items() if isinstance(found, Folder) and found.pending]:
        yield lambda node, i, count, folder=folder: node == folder  # type: ignore[misc]
        yield lambda node, i, count, folder=folder: node != folder  # type: ignore[misc]


def _content(
    nodes: dict[int, Folder | File],
    number: int,
    keeps: Callable[[int, int, int], bool],
    data: bool,
) -> Any:
    """A file's bytes, or a folder's content by name; ``data``: unsynced bytes reached the disk."""
    node = nodes[number]
    if isinstance(node, File):
        return node.written if data else node.synced
    count = len(node.pending)
    kept = tuple(c for i, c in enumerate(node.pending) if keeps(number, i, count))
    names = _applied(node.synced, kept)
    return {n: _content(nodes, i, keeps, data) for n, i in sorted(names.items()) if i is not None}


def _make(path: Path, content: Any) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.mkdir(parents=True)
        for name, inner in content.items():
            _make(path / name, inner)
