"""What each run needs of a store, noted in the store: by keys, and not only by where the run is.

A run's folder may be renamed, moved or not mounted when the store is cleaned up.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..errors import InputError
from .checked import Damaged, read_json, write_json

log = logging.getLogger(__name__)


class Needs:
    """The notes in the folder ``needs`` of a store, one for each run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run: Path | None = None
        self._used: set[str] = set()

    def begin(self, run: Path) -> None:
        """Note for the run in this folder all that was used through this object and will be.

        An earlier run's note in the same folder is replaced.
        """
        self._run = run.absolute()
        self._write(self._run, self._used)

    def use(self, key: str) -> None:
        """Note that this is needed by the run that has begun, or will begin."""
        if key not in self._used:
            self._used.add(key)
            if self._run:
                self._write(self._run, self._used)

    def add(self, run: Path, keys: Iterable[str]) -> None:
        """Note that the finished run that is now in this folder needs these."""
        with suppress(Damaged, FileNotFoundError):
            if set(keys) <= set(read_json(self._file(run.absolute()))["keys"]):
                return
        self._write(run.absolute(), keys)

    def all(self) -> dict[Path, set[str]]:
        """The noted keys by the run's folder. InputError for a note that is damaged."""
        notes = {}
        for file in sorted(self.folder.glob("[!.]*.json")):
            try:
                note = read_json(file)
            except Damaged as error:
                raise InputError(
                    f"{error}. It says what a run needs: run `pipeline report` for all runs that "
                    "use this store, wherever they are, then delete it"
                ) from error
            notes[Path(note["folder"])] = set(note["keys"])
        return notes

    def forget(self, run: Path) -> None:
        """Take a run's note back."""
        self._file(run).unlink(missing_ok=True)

    def _write(self, run: Path, keys: Iterable[str]) -> None:
        try:
            write_json(self._file(run), {"folder": str(run), "keys": sorted(keys)})
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES, errno.ENOENT):
                raise
            log.warning("%s cannot be written, so gc there will not know of %s", self.folder, run)
            self._run = None

    def _file(self, run: Path) -> Path:
        return self.folder / f"{hashlib.sha256(os.fsencode(run)).hexdigest()[:32]}.json"
