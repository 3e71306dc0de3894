"""Which folder under ``runs/`` a run has: its own from before, or a free one, by itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

from ..errors import InputError
from ..plugin.specs import changes
from ..progress import note
from ..recipe.load import Loaded
from ..recipe.names import is_io_only
from ..recipe.show import recipe_as_yaml, spec_differences
from ..recipe.yaml12 import parse
from ..records import Plain
from ..store.folders import make_folder, write_text
from ..store.locks import locked
from .command import run_name
from .finished import DIAGNOSIS, RECIPE, RUN, RUNS

LOCKS = ".locks"
"""The folder under ``runs/`` whose files say who is at work on a run."""

OURS = ("grids", "trackers", "samples-*", "*.html", "scores.json", "samples.png", "history.jsonl")
"""What a replaced run takes with it, beside its recipe, its record and its diagnosis."""


def folder_for(loaded: Loaded) -> Path:
    """The folder of this recipe's run, without a name given: its own, or the next that is free."""
    return next(folder for folder in _folders(loaded) if _is_for(folder, loaded))


@contextmanager
def claimed(loaded: Loaded, name: str | None, replace: bool) -> Iterator[Path]:
    """The run's folder, to this process alone as long as the block runs.

    Two that run the same recipe wait for each other, and the second finds all done. InputError for
    a ``name`` that another recipe's run has, unless it may ``replace`` that.
    """
    for folder in _folders(loaded) if name is None else [RUNS / name]:
        if name is None and not _is_for(folder, loaded):
            continue
        make_folder(RUNS / LOCKS)
        with locked(RUNS / LOCKS / folder.name, partial(_say_waiting, folder)):
            if not _is_for(folder, loaded):  # the name is taken, perhaps just now
                if name is None:
                    continue
                _refuse_other(folder, loaded, replace)
            if recipe_in(folder) is None:
                with _begun(folder, loaded):
                    yield folder
            else:
                yield folder
        return


@contextmanager
def _begun(folder: Path, loaded: Loaded) -> Iterator[None]:
    """Let the folder hold the recipe, so that others see whose it is; not where nothing comes."""
    if folder.name != run_name(loaded) and loaded.recipe.name != folder.name:
        note(f"{RUNS / run_name(loaded)} is another recipe's run: this one is {folder}")
    make_folder(folder)
    write_text(folder / RECIPE, recipe_as_yaml(loaded))
    try:
        yield
    finally:
        if [path.name for path in folder.iterdir()] == [RECIPE]:
            shutil.rmtree(folder)


def take(folder: Path, loaded: Loaded) -> None:
    """Make a claimed folder this recipe's: another recipe's run goes, with all that belongs to it.

    The store keeps its results.
    """
    before = recipe_in(folder) or {}
    if differences := _differences(before, loaded):
        note(f"{folder} was a run with another recipe ({'; '.join(differences)}): replaced")
        (folder / RUN).unlink(missing_ok=True)  # first: what goes now is of no finished run
        (folder / DIAGNOSIS).unlink(missing_ok=True)
        for path in [path for pattern in OURS for path in folder.glob(pattern)]:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    write_text(folder / RECIPE, recipe_as_yaml(loaded))


def recipe_in(folder: Path) -> Plain | None:
    """The recipe of the run in this folder, finished or not, as plain data; None without one."""
    for read in (_finished_recipe, _recipe_file):
        if (recipe := read(folder)) is not None:
            return recipe
    return None


def is_finished(folder: Path) -> bool:
    """Whether the folder holds the record of a finished run."""
    return _finished_recipe(folder) is not None


def _finished_recipe(folder: Path) -> Plain | None:
    try:
        recipe = json.loads((folder / RUN).read_text("utf-8"))["recipe"]
    except (OSError, ValueError, KeyError, TypeError):  # it is written anew when it is damaged
        return None
    return recipe if isinstance(recipe, dict) else None


def _recipe_file(folder: Path) -> Plain | None:
    file = folder / RECIPE
    try:
        node = parse(file.read_text("utf-8"), str(file), [])
    except (OSError, UnicodeError):
        return None
    return node.plain if node and node.mapping else None


def _folders(loaded: Loaded) -> Iterator[Path]:
    """``runs/NAME``, ``runs/NAME-2``, ``runs/NAME-3``, …"""
    name = run_name(loaded)
    return (RUNS / (name if number == 1 else f"{name}-{number}") for number in count(1))


def _is_for(folder: Path, loaded: Loaded) -> bool:
    """Whether the folder is free, or holds a run of this recipe."""
    recipe = recipe_in(folder)
    if recipe is None:
        return not (folder.is_symlink() or folder.exists()) or _is_empty(folder)
    return not _differences(recipe, loaded)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _differences(recipe: Plain, loaded: Loaded) -> list[str]:
    """How a recipe differs from this one, but for its name and for where things are."""
    mine = json.loads(json.dumps(loaded.data))
    paths = [change.path for change in changes({**recipe, "name": mine["name"]}, mine)]
    counts = [".".join(p) for p in paths if not is_io_only(loaded.recipe, loaded.data, p)]
    told = spec_differences(recipe, mine)
    return [line for line in told if line.partition(": ")[0] in counts]


def _refuse_other(folder: Path, loaded: Loaded, replace: bool) -> None:
    """InputError for what a name may not take the place of."""
    before = recipe_in(folder)
    if before is None:
        raise InputError(f"{folder}: is there and is no run; choose another --name")
    if not replace:
        raise InputError(
            f"{folder}: is the run of another recipe ({'; '.join(_differences(before, loaded))}). "
            "Give another --name, or --replace to put this run in its place, with all that it holds"
        )


def _say_waiting(folder: Path, holder: str) -> None:
    note(f"waiting for {holder}, which is at work on {folder}")
