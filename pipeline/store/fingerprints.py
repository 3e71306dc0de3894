"""SHA-256 of files, remembered while nothing about the file has changed."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from stat import S_ISREG

from ..errors import InputError

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int, int]
"""Size, mtime_ns, ctime_ns and inode. Ctime also notices a change whose mtime was set back."""

Known = dict[str, tuple[Stamp, str]]
"""Stamps and digests by absolute path."""

TABLE = (
    "CREATE TABLE IF NOT EXISTS checked (path BLOB PRIMARY KEY, stamp TEXT, sha256 TEXT, seal TEXT)"
)
"""Paths are bytes, as not all are UTF-8; the seal is a digest of the row, for flipped bits."""
AT_ONCE = 2**20
"""Bytes of a file that are digested at once."""
BATCH = 1000
"""How many digests one transaction writes: a kill costs at most the hashing of so many files."""
PATIENCE = 2.0
"""Seconds to wait, once, for a database that another process has locked."""

FRESH_NS = 50_000_000
"""File systems stamp by the kernel's tick (up to 10 ms): a file changed so recently may change
again under the same stamp, so its digest is not remembered yet."""


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    # Unbuffered: for a small photo the buffers of `file_digest` take longer than the digest.
    with open(path, "rb", buffering=0) as file:
        while data := file.read(AT_ONCE):
            digest.update(data)
    return digest.hexdigest()


class Fingerprints:
    """Digests of files in an sqlite file that several processes may share. Thread-safe.

    The database only saves time: where it cannot be used, that is said once and files are hashed.
    """

    def __init__(self, database: Path) -> None:
        self._memory = _Memory(database)
        self._known: Known | None = None
        self._new: Known = {}
        self._lock = threading.Lock()
        weakref.finalize(self, self._memory.write, self._new)  # also when the process ends

    def digest(self, path: Path) -> str:
        """SHA-256 of a file. InputError when it cannot be read."""
        name = os.path.abspath(path)
        known = self._table()
        try:
            # Before the bytes are read: a change while reading gives a stamp that never matches.
            stamp = stamp_of(name)
            remembered = known.get(name)
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
            self._memory.write(self._new)

    def _remember(self, name: str, entry: tuple[Stamp, str]) -> None:
        with self._lock:
            self._table()[name] = self._new[name] = entry
            full = len(self._new) >= BATCH
        if full:
            self.save()

    def _table(self) -> Known:
        """All digests by path, read once: a query for each file would take longer than its stat."""
        if self._known is None:
            self._known = self._memory.read()
        return self._known


class _Memory:
    """The database, as long as it can be used."""

    def __init__(self, file: Path) -> None:
        self.file, self.usable = file, True

    def read(self) -> Known:
        """All rows whose seal is right."""
        known: Known = {}
        with self._telling():
            if self.file.exists():
                with closing(sqlite3.connect(self.file, timeout=PATIENCE)) as db:
                    rows = db.execute("SELECT * FROM checked").fetchall() if _has_table(db) else []
                for row in rows:
                    if row[-1] == _seal(*row[:-1]):
                        size, mtime, ctime, inode = map(int, row[1].split())
                        known[os.fsdecode(row[0])] = (size, mtime, ctime, inode), row[2]
        return known

    def write(self, new: Known) -> None:
        """Write the new digests in one transaction, then empty ``new``."""
        # The folder is gone when the store was deleted meanwhile: nothing is to be remembered.
        if self.usable and new and self.file.parent.is_dir():
            rows = [_row(name, stamp, digest) for name, (stamp, digest) in new.items()]
            with self._telling(), closing(sqlite3.connect(self.file, timeout=PATIENCE)) as db, db:
                db.execute(TABLE)
                db.executemany("INSERT OR REPLACE INTO checked VALUES (?, ?, ?, ?)", rows)
        new.clear()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Say once that the database cannot be used; it is never touched again then."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if self.usable:
                log.warning(
                    "%s: %s. It only remembers digests of files, so all are read again now. Where "
                    "no other process is using it, make it writable, or delete it if it is damaged",
                    self.file,
                    error,
                )
            self.usable = False


def _has_table(db: sqlite3.Connection) -> bool:
    found = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'checked'").fetchone()
    return found is not None


def _row(name: str, stamp: Stamp, digest: str) -> tuple[bytes, str, str, str]:
    row = (os.fsencode(name), " ".join(map(str, stamp)), digest)
    return *row, _seal(*row)


def _seal(*row: object) -> str:
    return hashlib.sha256(repr(row).encode()).hexdigest()


def stamp_of(file: str | Path) -> Stamp:
    """What the system knows of a file's content. OSError for what is not there, or no file."""
    stat = os.stat(file)
    if not S_ISREG(stat.st_mode):  # a pipe would be waited for
        raise OSError(errno.EINVAL, "not a file", str(file))
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
