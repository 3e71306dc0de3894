"""What RUN stands for, wherever a command or a recipe takes one."""

from __future__ import annotations

import os
from pathlib import Path

from ..store.place import open_store
from .exported import unpacked
from .hub import address_of, fetched
from .layout import RECIPE, RUN, RUNS
from .shipped import shipped_models

ZIP = ".zip"


def resolve(run: str | Path, holds: str = RUN, store: Path | None = None) -> Path | None:
    """What RUN stands for, wherever one can be given; None where there is nothing of it.

    That is what a hub has by an address ``hf://user/name``; else a file that is there, such as one
    of weights, or the exported run in a zip, which is unpacked into the store; else the folder that
    has a file called ``holds`` in it, given by its path, by its name under ``runs/``, or by that of
    a shipped model.
    """
    if address := address_of(run):
        return fetched(address)
    path = Path(run).expanduser()
    if os.path.isfile(path):  # false also for names that no file can have
        return unpacked(path, open_store(store)) if path.suffix == ZIP else path
    folders = [path, RUNS / path]
    if not any(os.path.isfile(folder / holds) for folder in folders):
        folders = [shipped_models().get(str(run), path)]
    return next((folder for folder in folders if os.path.isfile(folder / holds)), None)


def is_run(path: Path) -> bool:
    """Whether this is a run's folder or its name under ``runs/``, finished or not."""
    folder = resolve(path, RECIPE)
    return folder is not None and folder.is_dir()
