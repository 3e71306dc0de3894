"""Artifacts by content key: atomic, checked, explained.

``artifacts/KIND/KEY/`` holds what is complete, ``workspaces/KIND/KEY/`` what grows. A folder counts
only under its final name, which it gets last: a killed builder leaves a ``.….tmp`` beside it that
nothing reads and ``gc`` removes.
"""

from __future__ import annotations

import fcntl
import logging
import os
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from ..errors import InputError
from . import manifest
from .explain import explain
from .fingerprints import Fingerprints
from .folders import explaining_errors, private, remove, remove_leftovers, size_of
from .manifest import canonical, key_of

log = logging.getLogger(__name__)

FRESH = "made anew, as --fresh asks"

PATIENCE = 2.0
"""Seconds of waiting for another process before saying so."""


@dataclass(frozen=True)
class Artifact:
    """A complete folder."""

    kind: str
    key: str
    path: Path
    reused: bool
    why: str
    """Why it was built; empty when it was reused."""

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return size_of(self.path)

    @property
    def manifest(self) -> dict[str, Any]:
        """Its ingredients, files, versions, why and when."""
        return manifest.read(self.path) or {}


@dataclass(frozen=True)
class Record:
    """One folder of the store, for people to look at."""

    kind: str
    key: str
    """Empty while unfinished."""
    path: Path
    size: int
    """Bytes."""
    created: str
    """ISO 8601, UTC; empty while unfinished."""
    used: str
    """When it was last made, opened or reused."""
    state: Literal["artifact", "workspace", "unfinished"]
    """Unfinished: being built, or left by a killed builder; it never counts as there."""

    @property
    def complete(self) -> bool:
        """Whether it can be reused as it is."""
        return self.state == "artifact" and self.created != ""


class Store:
    """A folder of artifacts that several processes may use at once.

    InputError when the folder cannot be used or the disk is full.
    """

    def __init__(self, root: Path, *, fresh: bool = False) -> None:
        """``fresh``: reuse nothing that was made before this object."""
        self.root, self.fresh = root.absolute(), fresh
        self._checked: set[Path] = set()
        self._renewed: set[str] = set()
        self._fingerprints = Fingerprints(self.root / "digests.sqlite")
        with explaining_errors(self.root):
            for name in ("artifacts", "workspaces", "locks"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            # Shared as long as this object lives, exclusive in gc: it cannot remove what a run
            # that has not yet written its run.json is using.
            self._in_use = os.open(self.root / "in-use", os.O_RDWR | os.O_CREAT, 0o666)
            weakref.finalize(self, os.close, self._in_use)
            fcntl.flock(self._in_use, fcntl.LOCK_SH)

    def get_or_build(
        self, kind: str, ingredients: Mapping[str, Any], build: Callable[[Path], None]
    ) -> Artifact:
        """The artifact of these ingredients; ``build(folder)`` fills an empty folder if need be."""
        key = key_of(kind, ingredients)
        anew = self.fresh and key not in self._renewed
        self._renewed.add(key)
        with explaining_errors(self.root):
            found, _ = self._look(kind, key)
            if found and not anew:
                return found
            with self._locked(kind, key):
                found, why = self._look(kind, key)  # another may have built it meanwhile
                if found and not anew:
                    return found
                why = why or (FRESH if anew else self.explain(kind, ingredients))
                final = self._folder("artifacts", kind, key)
                remove(final)  # there only if it was damaged or is made anew
                with private(final) as folder:
                    build(folder)
                    manifest.write(folder, kind, ingredients, why, manifest.files_in(folder))
            made, damage = self._look(kind, key)
        if not made:
            raise InputError(f"{self.root}: {damage} right after it was written; check the disk")
        return replace(made, reused=False, why=why)

    def find(self, kind: str, ingredients: Mapping[str, Any]) -> Artifact | None:
        """The artifact of these ingredients if it is there and sound."""
        with explaining_errors(self.root):
            found, damage = self._look(kind, key_of(kind, ingredients))
        if damage:
            log.warning("%s: %s", kind, damage)
        return found

    def open(self, kind: str, key: str) -> Artifact:
        """The artifact that a run points to. InputError when it is not there or damaged."""
        with explaining_errors(self.root):
            found, damage = self._look(kind, key)
        if not found:
            where = self._folder("artifacts", kind, key)
            raise InputError(f"{where}: {damage or 'is not there'}; run the recipe again")
        return found

    @contextmanager
    def workspace(self, kind: str, ingredients: Mapping[str, Any]) -> Iterator[Path]:
        """A folder that grows over several runs, to one process at a time. Never an artifact."""
        key = key_of(kind, ingredients)
        folder = self._folder("workspaces", kind, key)
        anew = self.fresh and key not in self._renewed
        self._renewed.add(key)
        with explaining_errors(self.root), self._locked(kind, key):
            if anew:
                remove(folder)
            remove_leftovers(folder)
            if manifest.damage(folder, key):
                why = self.explain(kind, ingredients)
                folder.mkdir(parents=True, exist_ok=True)
                manifest.write(folder, kind, ingredients, why, files=[])
            _touch(folder)
            yield folder

    def explain(self, kind: str, ingredients: Mapping[str, Any]) -> str:
        """What sets these ingredients apart from the nearest that are there; "" when they are."""
        found = [
            content
            for base in ("artifacts", "workspaces")
            for folder in (self.root / base / kind).glob("[!.]*")
            if (content := manifest.read(folder))
        ]
        found.sort(key=lambda content: str(content["created"]), reverse=True)
        return explain(canonical(ingredients), [content["ingredients"] for content in found])

    def digest(self, path: Path) -> str:
        """SHA-256 of a file outside the store, remembered while the file does not change."""
        return self._fingerprints.digest(path)

    def remember_runs(self, folder: Path) -> None:
        """That runs in this folder point here: ``gc`` asks them what they need."""
        place = str(folder.absolute())
        with explaining_errors(self.root), (self.root / "runs.txt").open("a+") as file:
            file.seek(0)
            if place not in file.read().splitlines():
                file.write(place + "\n")

    def runs(self) -> list[Path]:
        """The folders that were remembered."""
        file = self.root / "runs.txt"
        return [Path(line) for line in file.read_text().splitlines()] if file.exists() else []

    def ls(self) -> list[Record]:
        """Everything that takes up room, by kind and age."""
        records = []
        for base in ("artifacts", "workspaces"):
            for folder in self.root.glob(f"{base}/*/*"):
                with suppress(FileNotFoundError):  # another process gave it its final name
                    records.append(_record(folder))
        return sorted(records, key=lambda record: (record.kind, record.created))

    def verify(self) -> dict[str, str]:
        """Reads every byte of every artifact: those damaged, ``KIND/KEY`` -> what is wrong."""
        with explaining_errors(self.root):
            checked = {
                f"{record.kind}/{record.key}": manifest.damage(record.path, record.key, large=None)
                for record in self.ls()
                if record.state == "artifact"
            }
        return {name: damage for name, damage in checked.items() if damage}

    def gc(self, live: Collection[str], dry_run: bool = False) -> list[Record]:
        """Remove what has no ``live`` key and what was never finished, and return it.

        InputError while another process uses the store.
        """
        with explaining_errors(self.root), nullcontext() if dry_run else self._alone():
            dead = [record for record in self.ls() if record.key not in live]
            if not dry_run:
                for record in dead:
                    remove(record.path)
                for lock in (self.root / "locks").iterdir():
                    lock.unlink()
        return dead

    def _folder(self, base: str, kind: str, key: str) -> Path:
        return self.root / base / kind / key

    def _look(self, kind: str, key: str) -> tuple[Artifact | None, str]:
        """The artifact if it is there and sound, and what is wrong with it if it is not."""
        self._fingerprints.save()
        path = self._folder("artifacts", kind, key)
        if not path.exists():
            return None, ""
        if path not in self._checked:  # once a process: reading all of it again costs time
            if damage := manifest.damage(path, key):
                return None, damage
            self._checked.add(path)
        _touch(path)
        return Artifact(kind, key, path, reused=True, why=""), ""

    @contextmanager
    def _locked(self, kind: str, key: str) -> Iterator[None]:
        """Only one process at a time. The system frees a dead process's lock.

        It saves work; what is right comes from private folders and their renaming.
        """
        lock = FileLock(self.root / "locks" / f"{kind}-{key}.lock")
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout:
            log.warning("waiting for another process that makes the same %s", kind)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            message = f"{self.root}: another run is using this store; try again when it has ended"
            raise InputError(message) from error
        finally:
            fcntl.flock(self._in_use, fcntl.LOCK_SH)  # a refused change of a lock loses the lock


def _touch(folder: Path) -> None:
    """The manifest's mtime says when it was last used: a statistic, so it may fail."""
    with suppress(OSError):
        os.utime(folder / manifest.NAME)


def _record(folder: Path) -> Record:
    content = manifest.read(folder)
    finished = not folder.name.startswith(".")
    used = (folder / manifest.NAME if content else folder).stat().st_mtime
    workspace = folder.parent.parent.name == "workspaces"
    return Record(
        kind=folder.parent.name,
        key=folder.name if finished else "",
        path=folder,
        size=size_of(folder),
        created=str(content["created"]) if content and finished else "",
        used=datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds"),
        state="unfinished" if not finished else "workspace" if workspace else "artifact",
    )
