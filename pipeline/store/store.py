"""Artifacts by content key: atomic, checked, explained.

``artifacts/KIND/KEY/`` holds what is complete, ``workspaces/KIND/KEY/`` what grows. A folder counts
only under its final name, which it gets last: a killed builder leaves a ``.….tmp`` beside it that
nothing reads and ``gc`` removes.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..errors import InputError
from .explain import OLDER, explain
from .fingerprints import Fingerprints
from .folders import (
    HOUR,
    explaining_errors,
    make_folder,
    private,
    remove,
    remove_leftovers,
    size_of,
    write_text,
)
from .leftovers import harms, tidy
from .listing import Record, record_of
from .locks import Users, locked
from .manifest import (
    MANIFEST,
    Manifest,
    canonical,
    content_of,
    damage,
    files_in,
    key_of,
    read_manifest,
    refuse_other_format,
    write_manifest,
)
from .needs import Needs
from .turns import HowFar, last_change, turn

log = logging.getLogger(__name__)

FRESH = "made anew, as --fresh asks"
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True)
class Artifact:
    """A complete folder of the store."""

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
    def content(self) -> str:
        """A digest of its files: what was made in another way may hold the same."""
        return content_of(self.manifest)

    @property
    def manifest(self) -> Manifest:
        """Its ingredients, files, versions, why and when."""
        manifest = read_manifest(self.path)
        if not manifest:
            raise InputError(f"{self.path}: {MANIFEST} was damaged; run the recipe again")
        return manifest


class Store:
    """A folder of artifacts that several processes may use at once.

    Failed when the disk is full or cannot be written. A store that can only be read serves all that
    only reads.
    """

    def __init__(self, root: Path, *, fresh: bool = False) -> None:
        """``fresh``: reuse nothing that was built before this object."""
        self.root, self.fresh = root.expanduser().absolute(), fresh
        self._checked: set[Path] = set()
        self._renewed: set[str] = set()
        self.needs = Needs(self.root / "needs")
        """What runs need: ``gc`` keeps it."""
        self._fingerprints = Fingerprints(self.root / "digests.sqlite")
        with explaining_errors(self.root):
            try:
                for name in ("artifacts", "workspaces", "locks", "needs"):
                    make_folder(self.root / name)
            except OSError as error:
                if error.errno not in READ_ONLY or not (self.root / "artifacts").is_dir():
                    raise
            self._users = Users(self.root)  # gc must be alone: what a run uses is nowhere noted yet

    def get_or_build(
        self, kind: str, ingredients: Mapping[str, object], build: Callable[[Path], None]
    ) -> Artifact:
        """The artifact of these ingredients; ``build(folder)`` fills an empty folder if need be."""
        key = key_of(kind, ingredients)
        anew = self._anew(key)
        self.needs.use(key)
        with explaining_errors(self.root):
            artifact, _ = self._look(kind, key)
            if artifact and not anew:
                log.info("%s %s: reused", kind, key[:12])
                return artifact
            began = time.monotonic()
            with self._locked(kind, key):
                artifact, harm = self._look(kind, key)  # another may have built it meanwhile
                if artifact and not anew:
                    return artifact
                refuse_other_format(self._folder("artifacts", kind, key))
                why = harm or (FRESH if anew else self.explain(kind, ingredients) or OLDER)
                final = self._folder("artifacts", kind, key)
                # What is there is damaged or to be built anew, unless another built it meanwhile.
                with private(final, lambda: not anew and not damage(final, key)) as folder:
                    build(folder)
                    write_manifest(folder, kind, ingredients, why, files_in(folder))
                self._checked.discard(final)
            artifact, harm = self._look(kind, key)
        if not artifact:
            raise InputError(f"{self.root}: {harm} right after it was written; check the disk")
        spent = time.monotonic() - began
        log.info("%s %s: built in %.1f s, because %s", kind, key[:12], spent, why)
        return replace(artifact, reused=False, why=why)

    def find(self, kind: str, ingredients: Mapping[str, object]) -> Artifact | None:
        """The artifact of these ingredients if it is there and sound."""
        with explaining_errors(self.root):
            artifact, harm = self._look(kind, key_of(kind, ingredients))
        if harm:
            log.warning("%s: %s", kind, harm)
        return artifact

    def open(self, kind: str, key: str) -> Artifact:
        """The artifact that a run points to. InputError when it is not there or damaged."""
        with explaining_errors(self.root):
            artifact, harm = self._look(kind, key)
        if not artifact:
            folder = self._folder("artifacts", kind, key)
            raise InputError(f"{folder}: {harm or 'is not there'}; run the recipe again")
        return artifact

    @contextmanager
    def workspace(
        self, kind: str, ingredients: Mapping[str, object], how_far: HowFar = last_change
    ) -> Iterator[Path]:
        """A folder that grows over several runs, to one process at a time. Never an artifact."""
        key = key_of(kind, ingredients)
        folder = self._folder("workspaces", kind, key)
        anew = self._anew(key)
        self.needs.use(key)
        with explaining_errors(self.root), self._locked(kind, key):
            refuse_other_format(folder)
            if damage(folder, key):
                why = self.explain(kind, ingredients) or OLDER
                make_folder(folder)
                write_manifest(folder, kind, ingredients, why, files=[])
            _touch(folder)
            with turn(folder, how_far, anew=anew) as growing:
                yield growing

    def explain(self, kind: str, ingredients: Mapping[str, object]) -> str:
        """How these ingredients differ from the most similar artifact; "" if it is there."""
        manifests = [
            manifest
            for base in ("artifacts", "workspaces")
            for folder in (self.root / base / kind).glob("[!.]*")
            if (manifest := read_manifest(folder))
        ]
        manifests.sort(key=lambda manifest: manifest["created"], reverse=True)
        return explain(canonical(ingredients), [old["ingredients"] for old in manifests])

    def digest(self, path: Path) -> str:
        """SHA-256 of a file outside the store, remembered while the file does not change."""
        return self._fingerprints.digest(path)

    def runs(self) -> list[Path]:
        """The folders of runs that older versions noted, without what the runs need."""
        file = self.root / "runs.txt"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return [Path(line) for line in text.splitlines()]

    def forget_runs(self, folders: Collection[Path]) -> None:
        """Take these folders out of what older versions noted."""
        kept = [f"{folder}\n" for folder in self.runs() if folder not in folders]
        if len(kept) < len(self.runs()):
            write_text(self.root / "runs.txt", "".join(kept))

    def ls(self) -> list[Record]:
        """All artifacts, workspaces and unfinished folders, by kind and age."""
        records = []
        for base in ("artifacts", "workspaces"):
            for folder in filter(Path.is_dir, self.root.glob(f"{base}/*/*")):
                with suppress(FileNotFoundError):  # another process gave it its final name
                    records.append(record_of(folder))
        return sorted(records, key=lambda record: (record.kind, record.created))

    def verify(self) -> dict[str, str]:
        """Read every byte that has a digest. Returns what is wrong with what is damaged.

        Artifacts are called ``KIND/KEY``, a workspace's files ``KIND/KEY/FILE``.
        """
        damaged = {}
        with explaining_errors(self.root):
            for record in self.ls():
                name = f"{record.kind}/{record.key}"
                if record.state == "artifact":
                    damaged[name] = damage(record.path, record.key, large=None)
                elif record.state == "workspace":
                    damaged[name] = damage(record.path, record.key)
                    damaged |= {f"{name}/{file}": harm for file, harm in harms(record.path)}
            damaged |= {f"needs/{file}": harm for file, harm in harms(self.root / "needs")}
        return {name: harm for name, harm in damaged.items() if harm}

    def gc(self, live: Callable[[], Collection[str]], dry_run: bool = False) -> list[Record]:
        """Remove what has no ``live`` key and what was never finished, and return it.

        ``live`` is asked when nobody else uses the store. InputError while another process does.
        """
        with explaining_errors(self.root), nullcontext() if dry_run else self._alone():
            keys = live()
            dead = [record for record in self.ls() if record.key not in keys]
            if not dry_run:
                self._remove(dead)
        return dead

    def _remove(self, dead: Iterable[Record]) -> None:
        for record in dead:
            remove(record.path)
        for record in self.ls():
            if record.state == "workspace":
                tidy(record.path)
        for run in self.needs.all():  # it may be working on another store at this moment
            remove_leftovers(run, HOUR)
        remove_leftovers(self.needs.folder)
        for lock in (self.root / "locks").iterdir():
            lock.unlink()

    def _anew(self, key: str) -> bool:
        """Whether to build this although it is there, which ``fresh`` asks once for each key."""
        anew = self.fresh and key not in self._renewed
        self._renewed.add(key)
        return anew

    def _folder(self, base: str, kind: str, key: str) -> Path:
        return self.root / base / kind / key

    def _look(self, kind: str, key: str) -> tuple[Artifact | None, str]:
        """The artifact if it is there and sound, and what is wrong with it if it is damaged."""
        self._fingerprints.save()
        path = self._folder("artifacts", kind, key)
        if not path.exists():
            return None, ""
        if path not in self._checked:  # once a process: reading all of it again costs time
            if harm := damage(path, key):
                return None, harm
            self._checked.add(path)
        _touch(path)
        return Artifact(kind, key, path, reused=True, why=""), ""

    @contextmanager
    def _locked(self, kind: str, key: str) -> Iterator[None]:
        """Let one process at a time work on an artifact. The system frees a dead process's lock.

        For artifacts it only saves work: private folders and their renaming keep them whole.
        """

        waiting = partial(log.warning, f"waiting for %s, which makes the same {kind}")
        with locked(self.root / "locks" / f"{kind}-{key}.lock", waiting):
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._users.alone() as alone:
            if not alone:
                told = "another run is using this store; try again when it has ended"
                raise InputError(f"{self.root}: {told}")
            yield


def _touch(folder: Path) -> None:
    """Note the time of use as the manifest's mtime. It is only for people, so it may fail."""
    with suppress(OSError):
        os.utime(folder / MANIFEST)
