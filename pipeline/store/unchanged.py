"""Files that must stay as they were while what is kept under their digest is made from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from .fingerprints import Stamp, stamp_of

LISTED = 10
"""Changed files that an error lists; the others are counted."""


class Unchanged:
    """Digests files, and tells afterwards whether each is still what it was."""

    def __init__(self, digest: Callable[[Path], str]) -> None:
        """``digest`` is the store's: InputError for a file that cannot be read."""
        self._digest = digest
        self._before: dict[Path, tuple[Stamp | None, str | None]] = {}

    def digest(self, path: Path) -> str:
        """SHA-256 of a file, noted. InputError when it cannot be read, which is noted too."""
        _, digest = self._before[path] = self._look(path)
        return self._digest(path) if digest is None else digest  # it raises, with the reason

    def check(self) -> None:
        """InputError that names the files which have changed since they were digested."""
        changed = [str(path) for path, seen in self._before.items() if self._look(path) != seen]
        if changed:
            more = f" and {len(changed) - LISTED} more" if len(changed) > LISTED else ""
            raise InputError(
                f"{', '.join(changed[:LISTED])}{more}: changed while being read, so nothing of it "
                "was kept; run it again when the files stay as they are"
            )

    def _look(self, path: Path) -> tuple[Stamp | None, str | None]:
        """A file's stamp, taken first, and its digest; None for what cannot be had."""
        try:
            return stamp_of(path), self._digest(path)
        except (OSError, InputError):
            return None, None
