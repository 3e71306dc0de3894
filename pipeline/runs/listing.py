"""Runs as a list, and how one is removed."""

from __future__ import annotations

import shlex
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from textwrap import wrap
from typing import Literal, TypedDict

from ..errors import InputError
from ..format import byte_size, metric_name, number, table
from ..records import Plain, read_history
from ..store.checked import Damaged, parse_json, read_json
from ..store.folders import size_of
from ..store.locks import holder, locked
from .layout import DIAGNOSIS, LOCKS, RECIPE, RUN, RUNS
from .live import RUN_PAGE
from .page import COMPARISON, COMPARISON_PAGE, PICTURES

WRITTEN = (
    *(RUN, RECIPE, DIAGNOSIS, RUN_PAGE, COMPARISON, COMPARISON_PAGE, PICTURES),
    *("grids", "plugins", "trackers", "samples-*", "scores.json", "samples.png", "history.jsonl"),
    "logs",
)
"""What runs and comparisons write into their folders, as patterns."""

State = Literal["finished", "running", "unfinished", "failed", "damaged", "comparison"]


class RunEntry(TypedDict):
    """A run or a comparison in the list."""

    name: str
    folder: str
    state: State
    changes: list[str]
    scores: dict[str, float]
    steps: int | None
    """Of training, as far as it was validated."""
    when: str
    """When it finished, else when its folder last changed: ISO 8601, UTC."""
    size: int
    """Bytes of its folder; what it has in the store is not in it."""


class Removed(TypedDict):
    """What ``rm`` did."""

    run: str
    removed: list[str]
    kept: list[str]
    """What else is in the folder, which therefore stays."""
    clean: str
    """The command that removes from the store what only this run needed; "" for a comparison."""


def ls(*, runs: Path = RUNS) -> list[RunEntry]:
    """List the runs and comparisons in the folder ``runs``, by name.

    InputError where there is no such folder; damaged runs are listed as such.
    """
    if not runs.is_dir():
        raise InputError(f"{runs}: there is no such folder of runs; give --runs, or run a recipe")
    folders = sorted(path for path in runs.glob("[!.]*") if _is_ours(path))
    return [_entry(folder) for folder in folders]


def rm(run: str | Path, *, yes: bool = False) -> Removed:
    """Remove what a run or a comparison wrote into its folder; the store keeps its results.

    ``run`` is a folder, or a name under ``runs/``; without ``yes`` nothing is removed. Raises
    InputError then, and for what is no run, a link, or a run that is running now.
    """
    folder = _folder(run)
    store = _store_of(folder)
    written = sorted({path for pattern in WRITTEN for path in folder.glob(pattern)})
    names = [path.name for path in written]
    if not yes:
        raise InputError(f"{folder}: would lose {', '.join(names)}; give --yes to remove them")
    locks = folder.absolute().parent / LOCKS
    if not locks.is_dir():
        return _remove(folder, written, store)

    def refuse(who: str) -> None:
        raise InputError(f"{folder}: {who} is at work on it; stop that first")

    with locked(locks / folder.name, refuse):
        return _remove(folder, written, store)


def _remove(folder: Path, written: list[Path], store: str | None) -> Removed:
    for path in sorted(written, key=lambda path: path.name == RECIPE):  # what makes it a run, last
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    kept = sorted(path.name for path in folder.iterdir())
    if not kept:
        folder.rmdir()
    words = ["pipeline", "cache", "gc", "--forget", str(folder)]
    clean = "" if store is None else shlex.join([*words, *(["--store", store] if store else [])])
    names = [path.name for path in written]
    return {"run": str(folder), "removed": names, "kept": kept, "clean": clean}


def _folder(run: str | Path) -> Path:
    """The folder of a run or a comparison. InputError for anything else."""
    path = Path(run).expanduser()
    for folder in (path, RUNS / path):
        if _is_ours(folder):
            if folder.is_symlink():
                raise InputError(f"{folder}: is a link; name the folder that it leads to")
            return folder
    if path.exists():
        raise InputError(f"{path}: is no run and no comparison; nothing was removed")
    raise InputError(f"{path}: there is no such run; `pipeline ls` lists them")


def _is_ours(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (RECIPE, RUN, COMPARISON))


def _store_of(folder: Path) -> str | None:
    """The store to clean as an option; "" for the usual one, None for a comparison."""
    if not any((folder / name).is_file() for name in (RECIPE, RUN)):
        return None
    with suppress(OSError, Damaged, KeyError, TypeError):
        store = (folder / read_json(folder / RUN)["store"]).resolve()
        return "" if store == Path(".pipeline").resolve() else str(store)
    return ""


def _entry(folder: Path) -> RunEntry:
    when = datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat(timespec="seconds")
    entry = RunEntry(
        name=folder.name,
        folder=str(folder),
        state="unfinished",
        changes=[],
        scores={},
        steps=None,
        when=when,
        size=size_of(folder),
    )
    try:
        _describe(folder, entry)
    except (InputError, OSError, ValueError, LookupError, TypeError, AttributeError):
        entry["state"] = "damaged"
    if holder(folder.absolute().parent / LOCKS / folder.name):
        entry["state"] = "running"
    return entry


def _describe(folder: Path, entry: RunEntry) -> None:
    """Fill in what the folder's files tell."""
    if (folder / COMPARISON).is_file():
        parse_json(folder / COMPARISON)
        entry["state"] = "comparison"
        return
    steps = [record.step for record in read_history(folder)]
    entry["steps"] = steps[-1] if steps else None
    if (folder / RUN).is_file():
        record: Plain = read_json(folder / RUN)
        entry["scores"] = {n: float(s["value"]) for n, s in record["scores"].items()}
        entry["changes"] = list(record.get("changes", []))
        entry["when"], entry["state"] = str(record["finished"]), "finished"
    elif (folder / DIAGNOSIS).is_file():
        entry["state"] = "failed"


def list_lines(entries: list[RunEntry], width: int) -> list[str]:
    """The list as lines of at most ``width`` columns; changes go on in the next line."""
    head = ["run", "state", "steps", "score", "when", "size"]
    rows = [head]
    for entry in entries:
        score = next((f"{metric_name(n)} {number(v)}" for n, v in entry["scores"].items()), "")
        steps = "" if entry["steps"] is None else str(entry["steps"])
        when = entry["when"][:16].replace("T", " ")
        rows.append(
            [_cut(entry["name"], 40), entry["state"], steps, score, when, byte_size(entry["size"])]
        )
    drop = [4, 5, 3]  # what a narrow terminal goes without, first to last
    kept = list(range(len(head)))
    while max(map(_wide, table([[r[i] for i in kept] for r in rows]))) > width and drop:
        kept.remove(drop.pop(0))
    lines = table([[r[i] for i in kept] for r in rows])
    return list(_with_changes(lines, entries, width))


def _with_changes(lines: list[str], entries: list[RunEntry], width: int) -> Iterator[str]:
    yield _cut(lines[0], width)
    for line, entry in zip(lines[1:], entries, strict=True):
        yield _cut(line, width)
        if entry["changes"]:
            told = wrap(", ".join(entry["changes"]), width - 2)
            yield from (_cut(f"  {part}", width) for part in told)


def _wide(text: str) -> int:
    """Columns of a terminal."""
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _cut(text: str, width: int) -> str:
    if _wide(text) <= width:
        return text
    while text and _wide(text) > width - 1:
        text = text[:-1]
    return text + "…"
