"""Where the store is."""

from __future__ import annotations

import os
from pathlib import Path

from .store import Store


def open_store(given: Path | None, fresh: bool = False) -> Store:
    """The store that is given, that of PIPELINE_STORE, or ``.pipeline`` beside ``runs``."""
    return Store(store_root(given), fresh=fresh)


def store_root(given: Path | None) -> Path:
    """Where ``open_store`` opens it."""
    return (given or Path(os.environ.get("PIPELINE_STORE") or ".pipeline")).expanduser()
