"""The store, for people: what is in it, what is damaged, and what no run needs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ..artifacts.trajectory import training_key
from ..errors import InputError
from ..store.manifest import read_manifest
from ..store.store import Store
from .finished import RECIPE, RUN, RUNS


def cache(
    action: Literal["ls", "verify", "gc"], *, store: Path | None = None, dry_run: bool = False
) -> Any:
    """List the store's contents, verify them, or remove what no run needs.

    ``ls`` returns a record for each folder, ``gc`` one for each that is removed (with ``dry_run``
    would be); ``verify`` a mapping of what is damaged to what is wrong with it.
    """
    opened = open_store(store)
    if action == "verify":
        return opened.verify()
    records = opened.gc(live_keys(opened), dry_run=dry_run) if action == "gc" else opened.ls()
    return [{**vars(record), "path": str(record.path)} for record in records]


def open_store(given: Path | None, fresh: bool = False) -> Store:
    """The store that is given, that of PIPELINE_STORE, or ``.pipeline`` beside ``runs``."""
    return Store(given or Path(os.environ.get("PIPELINE_STORE") or ".pipeline"), fresh=fresh)


def live_keys(store: Store) -> set[str]:
    """Keys that finished runs point to, those of their inputs, and of what may go on growing.

    Runs are those here, those beside the store, and where the store was used from. InputError where
    they do not tell what is needed.
    """
    roots = {RUNS.absolute(), store.root.parent / RUNS, *store.runs()}
    folders = sorted(path.parent for root in roots for path in root.glob(f"*/{RECIPE}"))
    _check_finished(folders, store)
    runs = [json.loads((folder / RUN).read_text()) for folder in folders]
    named = [artifact["key"] for run in runs for artifact in run["artifacts"].values()]
    return _reached(named, _inputs(store))


def _check_finished(folders: Sequence[Path], store: Store) -> None:
    """InputError unless there are runs and all of them have finished."""
    for folder in folders:
        if not (folder / RUN).is_file():
            raise InputError(
                f"{folder}: this run has not finished, so what it needs is not known. "
                "Run its recipe again or delete the folder, then clean up."
            )
    if not folders:
        raise InputError(
            f"{store.root}: no run that uses this store was found, so nothing says what is needed. "
            "If all of it can go, delete the folder."
        )


def _inputs(store: Store) -> dict[str, list[str]]:
    """For each artifact the keys of what it was made from; a model's training may go on."""
    inputs: dict[str, list[str]] = {}
    for record in store.ls():
        if record.state == "artifact":
            manifest = read_manifest(record.path)
            ingredients = manifest["ingredients"] if manifest else {}
            inputs[record.key] = list(ingredients.get("inputs", {}).values())
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
