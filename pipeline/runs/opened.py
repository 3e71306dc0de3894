"""A run to look at, finished or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .finished import Run, finished_run
from .layout import DIAGNOSIS, RECIPE, RUN
from .resolve import resolve


def open_run(
    run: str | Path,
    *,
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
    trust_plugins: bool = False,
) -> Run:
    """Open a run, given by its folder, its name under ``runs/``, or as it was exported.

    One that has not finished is opened at its newest checkpoint, which is told and marked:
    ``record["unfinished"]``; its training goes on undisturbed. ``plugins`` are the plugin files
    that it was made with; ``trust_plugins`` takes the copies of them in a finished run's folder,
    which are code. ``store`` is where its artifacts are now if not where they were.

    InputError where there is no such run, or no checkpoint yet, or its training failed.
    """
    folder = unfinished_folder(run, store)
    if folder is None:
        return finished_run(
            run, plugins=plugins, store=store, device=device, trust_plugins=trust_plugins
        )
    from .unfinished import unfinished_run  # imports torch, which a finished run's page needs not

    return unfinished_run(folder, plugins, store, device)


def unfinished_folder(run: str | Path, store: Path | None = None) -> Path | None:
    """The folder of a run that is being trained or was interrupted; None for any other."""
    folder = resolve(run, RECIPE, store)
    if resolve(run, store=store) or folder is None or not folder.is_dir():
        return None
    return None if any((folder / name).is_file() for name in (RUN, DIAGNOSIS)) else folder
