"""What datasets of image files have in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import InputError


@dataclass(frozen=True)
class ImageFiles:
    """A source of image files: the lists, but for ``remarks``, are in the same order."""

    paths: Sequence[Path]
    labels: Sequence[int | None]
    parts: Sequence[str]
    class_names: Sequence[str]
    held_out: Sequence[bool] | None = None
    """Which are for validation; None: the recipe's split says."""
    remarks: Sequence[str] = ()
    """What the user should know of how the files were found."""

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int) -> Path:
        """The file of this index."""
        return self.paths[index]

    def fingerprint(self, digest: Callable[[Path], str]) -> str:
        """A digest of contents, labels, parts and class names, in their order; not of paths."""
        contents = [content_of(path, digest) for path in self.paths]
        known = [contents, list(self.labels), list(self.parts), list(self.class_names)]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def content_of(path: Path, digest: Callable[[Path], str]) -> str | None:
    """The file's digest; None where it cannot be read, which is told when all are decoded."""
    try:
        return digest(path)
    except (OSError, InputError):
        return None
