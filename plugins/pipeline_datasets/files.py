"""What datasets of image files have in common."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import InputError


@dataclass(frozen=True)
class ImageFiles:
    """A source of image files: the four lists are in the same order."""

    paths: Sequence[Path]
    labels: Sequence[int | None]
    parts: Sequence[str]
    class_names: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, index: int) -> Path:
        """The file of this index."""
        return self.paths[index]

    def fingerprint(self, digest: Callable[[Path], str]) -> str:
        """A digest of contents, labels, parts and class names, in their order; not of paths."""
        contents = [_content(path, digest) for path in self.paths]
        known = [contents, list(self.labels), list(self.parts), list(self.class_names)]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _content(path: Path, digest: Callable[[Path], str]) -> str:
    """The file's digest. Unreadable files are reported when all are decoded, in one error."""
    try:
        return digest(path) if path.is_file() else unknown_content()
    except (OSError, InputError):
        return unknown_content()


def unknown_content() -> str:
    """What stands for content that cannot be read: it equals nothing, and never itself again.

    Should the file be readable a moment later, nothing wrong is ever found under its key.
    """
    return secrets.token_hex(32)
