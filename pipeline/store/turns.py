"""Turns at a workspace: each process works in a folder of its own, which the next one takes over.

A lock lets one process at a time begin. What it cannot promise on every file system, or to a
process that was suspended for minutes, does not matter here: no two processes ever write to one
folder. Who takes over what another left renames it, so that the other, should it live after all,
finds its folder gone, and ends with an error before it can harm anything.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import Failed
from .folders import HOUR, fsync, is_leftover, make_folder, remove, remove_leftovers
from .leftovers import tidy
from .locks import HELD, is_at_work, marked
from .manifest import MANIFEST

TURN = "turn-"
"""The names of the folders begin so; the mark of the process at work in one ends with HELD."""


HowFar = Callable[[Path], float]
"""How far the work in a folder has come: of several that were left, the furthest is taken over."""


def last_change(folder: Path) -> float:
    """When a file was last put into a folder, in seconds."""
    with suppress(FileNotFoundError):
        return folder.stat().st_mtime
    return 0.0


def newest_turn(workspace: Path) -> Path | None:
    """The folder in a workspace that was changed last; None where there is none."""
    turns = [path for path in workspace.glob(f"{TURN}*") if path.is_dir()]
    return max(turns, key=last_change, default=None)


@contextmanager
def turn(workspace: Path, how_far: HowFar, *, anew: bool) -> Iterator[Path]:
    """A folder in ``workspace`` that is this process's alone, with what the last one left in it.

    ``anew``: with nothing in it. Where a process of this machine is at work all the same, its
    folder is left to it, and this one begins anew beside it. Failed where the folder is taken over.
    """
    mine = workspace / f"{TURN}{secrets.token_hex(4)}"
    with marked(_mark(mine)):
        left = [path for path in workspace.glob(f"{TURN}*") if path.is_dir() and _is_left(path)]
        if not anew:
            _take_over(left, mine, how_far)
        make_folder(mine)
        _take_in(workspace, mine)
        if anew:
            _clear(mine)
        for path in left:
            with suppress(FileNotFoundError):  # another process was first
                remove(path)
        for mark in workspace.glob(f"{TURN}*{HELD}"):
            if not is_at_work(mark):
                mark.unlink(missing_ok=True)
        remove_leftovers(workspace, HOUR, deep=False)
        tidy(mine)
        yield from _working(workspace, mine)


def _working(workspace: Path, mine: Path) -> Iterator[Path]:
    """The folder. Failed where it is gone when something in it is not there."""
    try:
        yield mine
    except FileNotFoundError as error:
        if mine.is_dir():
            raise
        raise Failed(
            f"{workspace}: another process has taken this over, as nothing was heard of this one "
            "for minutes; the same command goes on from there"
        ) from error


def _take_over(left: list[Path], mine: Path, how_far: HowFar) -> None:
    """Give the furthest of these folders this process's name, and take it out of the list."""
    while left:
        furthest = max(left, key=how_far) if len(left) > 1 else left[0]
        left.remove(furthest)
        with suppress(FileNotFoundError):  # another process was first
            furthest.rename(mine)
            fsync(mine.parent)
            return


def _take_in(workspace: Path, mine: Path) -> None:
    """Move what an older version left in the workspace itself."""
    for path in list(workspace.iterdir()):
        if path.name != MANIFEST and not path.name.startswith(TURN) and not is_leftover(path):
            with suppress(FileNotFoundError):  # another process was first
                path.rename(mine / path.name)


def _clear(folder: Path) -> None:
    shutil.rmtree(folder)
    make_folder(folder)


def _is_left(folder: Path) -> bool:
    return not is_at_work(_mark(folder))


def _mark(folder: Path) -> Path:
    return folder.with_name(folder.name + HELD)
