"""The store, for people: what is in it, what is damaged, and what no run needs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from ..artifacts.trajectory import training_key
from ..errors import InputError
from ..progress import note
from ..store.checked import DIGEST, parse_json, read_json
from ..store.fingerprints import sha256_of
from ..store.listing import Record
from ..store.manifest import content_of, read_manifest
from ..store.place import open_store
from ..store.store import Store
from .layout import RECIPE, RUN, RUNS

SHOWN = 5
"""Runs that a message names; the others are counted."""


def cache(
    action: Literal["ls", "verify", "gc"],
    *,
    store: Path | None = None,
    dry_run: bool = False,
    forget: Sequence[Path] = (),
) -> Any:
    """List the store's contents, verify them, or remove what no run needs.

    ``ls`` returns a record for each folder, ``gc`` one for each that is removed (with ``dry_run``
    would be); ``verify`` a mapping of what is damaged to what is wrong with it. ``forget`` names
    runs, or folders of runs, that are gone for good: without it, ``gc`` keeps what was needed by
    runs that are no longer where they were.
    """
    opened = open_store(store)
    if action == "verify":
        return opened.verify() | dict(_damage_in_runs(opened))
    if action == "ls":
        records = opened.ls()
    else:
        places = [path.absolute() for path in forget]
        records = opened.gc(lambda: live_keys(opened, places), dry_run=dry_run)
        if not dry_run:
            _forget(opened, places)
    return [{**vars(record), "path": str(record.path)} for record in records]


def live_keys(store: Store, forget: Sequence[Path] = ()) -> set[str]:
    """Keys that runs need, those of their inputs, and of what may go on growing.

    Runs are those here, those beside the store, and all that the store has noted, whether they are
    still there or not. InputError where they do not tell what is needed.
    """
    notes = store.needs.all()
    _check_places(store, forget)
    found = _found(store, notes)
    if not found and not notes:
        raise InputError(
            f"{store.root}: no run that uses this store was found, so nothing says what is needed. "
            "If all of it can go, delete the folder."
        )
    records, inputs = store.ls(), _inputs(store)
    named = {run: _named(run) for run in found}
    keys = {key for run in found for key in (*(named[run] or ()), *notes.get(run, ()))}
    unknown = [run for run in found if named[run] is None and run not in notes]
    keys |= _kept_for_unknown(unknown, records)
    live = _reached(keys, inputs)
    gone = {run: needed for run, needed in notes.items() if run not in found}
    return _reached(live | _kept_for_gone(gone, live, records, forget), inputs)


def _found(store: Store, notes: Iterable[Path]) -> set[Path]:
    """The folders of runs that are there: here, beside the store, and where it was used from."""
    noted = {run.parent for run in notes}
    places = {RUNS.absolute(), store.root.parent / RUNS, *noted, *store.runs()}
    names = (RECIPE, RUN)
    return {path.parent for root in places for name in names for path in root.glob(f"*/{name}")}


def _damage_in_runs(store: Store) -> Iterator[tuple[str, str]]:
    """Files of finished runs that are not as they were written, each with what is wrong."""
    notes: Iterable[Path] = ()
    with suppress(InputError):  # a damaged note is told by the store
        notes = store.needs.all()
    for run in sorted(_found(store, notes)):
        try:
            record = parse_json(run / RUN)
            files = read_json(run / RUN)["files"] if DIGEST in record else {}
        except FileNotFoundError:
            continue
        except (InputError, OSError) as error:
            yield str(run / RUN), str(error)
            continue
        for name, digest in files.items():
            if not (run / name).is_file():
                yield str(run / name), "it is missing"
            elif sha256_of(run / name) != digest:
                yield str(run / name), "its digest differs"


def _check_places(store: Store, forget: Sequence[Path]) -> None:
    """InputError where an older version noted a folder of runs, without keys, that is not there."""
    for root in store.runs():
        if not root.is_dir() and root not in forget:
            raise InputError(
                f"{root}: runs that use this store were in this folder, and it is not there, so "
                "what they need is not known. Mount it or move it back; if its runs are gone for "
                f"good: pipeline cache gc --forget {shlex.quote(str(root))}"
            )


def _named(run: Path) -> list[str] | None:
    """The keys in a run's ``run.json``; None where it has not finished or is damaged."""
    try:
        artifacts = json.loads((run / RUN).read_bytes())["artifacts"]
        return [str(artifact["key"]) for artifact in artifacts.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _kept_for_unknown(runs: Sequence[Path], records: Sequence[Record]) -> set[str]:
    """What runs may need of which nothing is known: all workspaces, and all used since they began.

    Newer versions note what a run needs as it goes, so this is for interrupted runs of older ones.
    """
    if not runs:
        return set()
    since = min(file.stat().st_mtime for run in runs for file in (run, *run.glob(RECIPE)))
    note(f"{_names(runs)}: not finished or damaged: all that may be needed there is kept")
    return {r.key for r in records if r.state == "workspace" or _seconds(r.used) >= since - 1}


def _kept_for_gone(
    runs: Mapping[Path, set[str]],
    live: set[str],
    records: Sequence[Record],
    forget: Sequence[Path],
) -> set[str]:
    """What was needed by runs that are no longer where they were, and by no other."""
    sizes = {record.key: record.size for record in records}
    only = {run: (keys - live) & sizes.keys() for run, keys in runs.items()}
    lost = sorted(run for run, keys in only.items() if keys and not _is_in(run, forget))
    if not lost:
        return set()
    kept = set().union(*(only[run] for run in lost))
    size = sum(sizes[key] for key in kept) / 2**20
    note(
        f"{_names(lost)}: not there any more (moved, renamed, not mounted or deleted), so the "
        f"{size:.1f} MiB that only {'this run' if len(lost) == 1 else 'these runs'} needed are "
        "kept. Where a run was moved, `pipeline report` on its new folder notes that. Where it was "
        f"deleted: pipeline cache gc{_options(lost)}"
    )
    return kept


def _forget(store: Store, places: Sequence[Path]) -> None:
    """Drop the notes of runs in these places that are not there."""
    for run in store.needs.all():
        if _is_in(run, places) and not (run / RECIPE).exists():
            store.needs.forget(run)
    store.forget_runs(places)


def _is_in(run: Path, places: Iterable[Path]) -> bool:
    return any(run.is_relative_to(place) for place in places)


def _names(runs: Collection[Path]) -> str:
    more = f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else ""
    return ", ".join(map(str, sorted(runs)[:SHOWN])) + more


def _options(runs: Sequence[Path]) -> str:
    return "".join(f" --forget {shlex.quote(str(run))}" for run in runs[:SHOWN])


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _inputs(store: Store) -> dict[str, list[str]]:
    """For each artifact the keys of what it was made from; a model's training may go on.

    Prepared images are named by their content, which stands for the newest artifact that holds it.
    """
    inputs: dict[str, list[str]] = {}
    for record in store.ls():
        manifest = read_manifest(record.path)
        ingredients = manifest["ingredients"] if manifest else {}
        inputs[record.key] = list(ingredients.get("inputs", {}).values())
        if manifest and record.kind == "images":
            inputs[content_of(manifest)] = [record.key]
        if record.kind == "model":
            inputs[record.key].append(training_key(ingredients))
    return inputs


def _reached(keys: Iterable[str], inputs: Mapping[str, Sequence[str]]) -> set[str]:
    """These keys and all that they were made from."""
    live: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in live:
            live.add(key)
            waiting += inputs.get(key, [])
    return live
