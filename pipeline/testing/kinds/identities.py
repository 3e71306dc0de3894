"""What a dataset or features call their content: compared between processes by the worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...store.fingerprints import sha256_of


def behaviour(stage: Any) -> Any:
    """Of features the extractor's id; of a dataset its lists and its fingerprint."""
    made = stage()
    return made.id if hasattr(made, "dim") else listing(made)


def listing(source: Any, digest: Any = sha256_of) -> dict[str, Any]:
    """All that a source says without opening an image; items as their files' names."""
    items = [source.image(i) for i in range(len(source))] if _of_files(source) else []
    return {
        "files": [str(item) for item in items],
        "labels": list(source.labels),
        "parts": list(source.parts),
        "class names": list(source.class_names),
        "fingerprint": source.fingerprint(digest),
    }


def _of_files(source: Any) -> bool:
    return len(source) > 0 and isinstance(source.image(0), Path)
