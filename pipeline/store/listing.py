"""What is in the store, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from .folders import size_of
from .manifest import MANIFEST, read_manifest


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
    """When it was last built, opened or reused: ISO 8601, UTC."""
    state: Literal["artifact", "workspace", "unfinished"]
    """``unfinished`` is being built, or was left by a killed builder; it never counts as there."""

    @property
    def complete(self) -> bool:
        """Whether it is a finished artifact with a manifest."""
        return self.state == "artifact" and self.created != ""


def record_of(folder: Path) -> Record:
    """The record of an artifact, a workspace or an unfinished folder."""
    manifest = read_manifest(folder)
    finished = not folder.name.startswith(".")
    used = (folder / MANIFEST if manifest else folder).stat().st_mtime
    workspace = folder.parent.parent.name == "workspaces"
    return Record(
        kind=folder.parent.name,
        key=folder.name if finished else "",
        path=folder,
        size=size_of(folder),
        created=manifest["created"] if manifest and finished else "",
        used=datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds"),
        state="unfinished" if not finished else "workspace" if workspace else "artifact",
    )
