"""Which folder under ``runs/`` a run has: its own from before, or a free one, by itself."""

from __future__ import annotations

import json
import os
import re
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
from ..store.folders import fsync, is_leftover, make_folder, write_text
from ..store.locks import locked
from ..system import unfit
from .layout import DIAGNOSIS, LOCKS, RECIPE, RUN, RUNS

CHOOSING = ".choosing"
"""The lock of those who look for a folder."""

LONGEST = 200
"""Bytes of a name: no file system takes more than 255, and locks and logs add to it."""

OURS = (
    *("grids", "plugins", "trackers", "samples-*"),
    *("*.html", "scores.json", "samples.png", "history.jsonl"),
)
"""What a replaced run takes with it, beside its recipe, its record and its diagnosis."""


def check_place(name: str | None) -> None:
    """InputError where no folder of this name can be in ``runs/``."""
    if (RUNS.exists() or RUNS.is_symlink()) and not RUNS.is_dir():
        raise InputError(f"{RUNS}: is not a folder; move it away, or work in another folder")
    if name is None:
        return
    if why := unfit(name):
        raise InputError(f"--name {name[:40]}: {why}")
    if len(os.fsencode(name)) > LONGEST:
        raise InputError(f"--name: has {len(os.fsencode(name))} bytes; {LONGEST} at most")


def folder_for(loaded: Loaded, new: str | None = None) -> Path:
    """The folder of this recipe's run, without a name given: its own, or the next that is free.

    ``new`` is what a new one is called; None: as the recipe.
    """
    name = new or loaded.base
    for folder in folders_of(loaded):
        recipe = recipe_in(folder)
        if recipe is not None and not differences(recipe, loaded):
            return folder
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(RUNS / name for name in names if _is_free(RUNS / name))


def folders_of(loaded: Loaded) -> list[Path]:
    """The folders that have this recipe's name, the first ones first.

    A number may follow it, and what a trial of a comparison changed.
    """
    numbered = re.compile(re.escape(loaded.base) + r"(\+.+)?(-\d+)?")
    there = [path for path in RUNS.glob("[!.]*") if numbered.fullmatch(path.name)]
    return sorted(there, key=lambda path: (len(path.name), path.name))


@contextmanager
def claimed(loaded: Loaded, name: str | None, replace: bool) -> Iterator[Path]:
    """The run's folder, to this process alone as long as the block runs.

    Two that run the same recipe wait for each other, and the second finds all done. InputError for
    a ``name`` that another recipe's run has, unless it may ``replace`` that.
    """
    make_folder(RUNS / LOCKS)
    while True:
        with locked(RUNS / LOCKS / CHOOSING, lambda _: None):
            folder = folder_for(loaded) if name is None else RUNS / name
            new = _is_free(folder)
            if new:
                make_folder(folder)
                write_text(folder / RECIPE, recipe_as_yaml(loaded))
            else:
                _check(folder, loaded, replace)
        with locked(RUNS / LOCKS / folder.name, partial(_say_waiting, folder)):
            if recipe_in(folder) is None:  # another gave it up meanwhile
                continue
            if new and folder.name != (name or loaded.base):
                note(f"{RUNS / loaded.base} is another recipe's run: this one is {folder}")
            try:
                yield folder
            finally:
                if [path.name for path in folder.iterdir()] == [RECIPE]:
                    shutil.rmtree(folder)  # nothing came of it
            return


def take(folder: Path, loaded: Loaded) -> None:
    """Make a claimed folder this recipe's: another recipe's run goes, with all that belongs to it.

    The store keeps its results.
    """
    before = recipe_in(folder) or {}
    if told := differences(before, loaded):
        note(f"{folder} was a run with another recipe ({'; '.join(told)}): replaced")
        (folder / RUN).unlink(missing_ok=True)  # first: what goes now is of no finished run
        fsync(folder)
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


def has_finished(folder: Path, loaded: Loaded) -> bool:
    """Whether the folder holds a finished run of this recipe."""
    recipe = _finished_recipe(folder)
    return recipe is not None and not differences(recipe, loaded)


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


def _is_free(folder: Path) -> bool:
    """Whether nothing is there, or a folder with nothing but what a killed process left."""
    if folder.is_dir() and not folder.is_symlink():
        return all(map(is_leftover, folder.iterdir()))
    return not (folder.is_symlink() or folder.exists())


def differences(recipe: Plain, loaded: Loaded) -> list[str]:
    """How a recipe differs from this one, but for its name and for where things are."""
    mine = json.loads(json.dumps(loaded.data))
    paths = [change.path for change in changes({**recipe, "name": mine["name"]}, mine)]
    counts = [".".join(p) for p in paths if not is_io_only(loaded.recipe, loaded.data, p)]
    told = spec_differences({**recipe, "name": mine["name"]}, mine)
    return [line for line in told if line.partition(": ")[0] in counts]


def _check(folder: Path, loaded: Loaded, replace: bool) -> None:
    """InputError for a folder whose place this run may not take."""
    before = recipe_in(folder)
    if before is None:
        raise InputError(f"{folder}: is there and is no run; choose another --name")
    if (told := differences(before, loaded)) and not replace:
        raise InputError(
            f"{folder}: is the run of another recipe ({'; '.join(told)}). "
            "Give another --name, or --replace to put this run in its place, with all that it holds"
        )


def _say_waiting(folder: Path, holder: str) -> None:
    note(f"waiting for {holder}, which is at work on {folder}")
