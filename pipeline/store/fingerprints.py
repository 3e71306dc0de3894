"""SHA-256 of files, remembered while nothing about the file has changed."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
import weakref
from contextlib import closing
from pathlib import Path

from ..errors import InputError

Stamp = tuple[int, int, int, int]
"""Size, mtime_ns, ctime_ns and inode. Ctime also notices a change whose mtime was set back."""

TABLE = (
    "CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, "
    "size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER, sha256 TEXT)"
)
BATCH = 1000
"""How many digests one transaction writes: a kill costs at most the hashing of so many files."""

FRESH_NS = 50_000_000
"""File systems stamp by the kernel's tick (up to 10 ms): a file changed so recently may change
again under the same stamp, so its digest is not remembered yet."""


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Fingerprints:
    """Digests of files in an sqlite file that several processes may share. Thread-safe."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._known: dict[str, tuple[Stamp, str]] | None = None
        self._new: dict[str, tuple[Stamp, str]] = {}
        self._lock = threading.Lock()
        weakref.finalize(self, _write, database, self._new)  # also when the process ends

    def digest(self, path: Path) -> str:
        """SHA-256 of a file. InputError when it cannot be read."""
        name = os.path.abspath(path)
        try:
            # Before the bytes are read: a change while reading gives a stamp that never matches.
            stamp = _stamp(name)
            remembered = self._table().get(name)
            if remembered and remembered[0] == stamp:
                return remembered[1]
            digest = sha256_of(Path(name))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        if time.time_ns() - stamp[2] > FRESH_NS:
            self._remember(name, (stamp, digest))
        return digest

    def save(self) -> None:
        """Write the new digests to the database."""
        with self._lock:
            _write(self.database, self._new)

    def _remember(self, name: str, entry: tuple[Stamp, str]) -> None:
        with self._lock:
            self._table()[name] = self._new[name] = entry
            full = len(self._new) >= BATCH
        if full:
            self.save()

    def _table(self) -> dict[str, tuple[Stamp, str]]:
        """All digests by path, read once: a query for each file would take longer than its stat."""
        if self._known is None:
            self._known = _read(self.database)
        return self._known


def _stamp(name: str) -> Stamp:
    stat = os.stat(name)
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _read(database: Path) -> dict[str, tuple[Stamp, str]]:
    try:
        with closing(sqlite3.connect(database, timeout=60)) as db:
            db.execute(TABLE)
            return {row[0]: (row[1:5], row[5]) for row in db.execute("SELECT * FROM digests")}
    except sqlite3.Error as error:
        raise _unusable(database, error) from error


def _write(database: Path, new: dict[str, tuple[Stamp, str]]) -> None:
    """Write the new digests in one transaction, then empty ``new``."""
    # The folder is gone when the store was deleted meanwhile: then there is nothing to remember.
    if not new or not database.parent.is_dir():
        return
    rows = [(name, *stamp, digest) for name, (stamp, digest) in new.items()]
    try:
        with closing(sqlite3.connect(database, timeout=60)) as db, db:
            db.execute(TABLE)
            db.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?)", rows)
    except sqlite3.Error as error:
        raise _unusable(database, error) from error
    new.clear()


def _unusable(database: Path, error: sqlite3.Error) -> InputError:
    return InputError(
        f"{database}: {error}. It only remembers digests of files: "
        "free space or make it writable; if it is damaged, delete it"
    )
