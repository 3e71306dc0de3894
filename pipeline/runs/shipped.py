"""Trained models that come with installed packages, and are called by their names.

A package names each in the entry points of the group ``pipeline.models``: ``flowers32 =
"my_models"`` is the exported run in the folder ``flowers32`` of that package.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import cast

from ..errors import InputError
from ..progress import note
from ..records import RunRecord
from ..store.checked import read_json
from ..store.folders import size_of
from .layout import RUN
from .results import ModelResult

GROUP = "pipeline.models"


def shipped_models() -> dict[str, Path]:
    """The folders of all shipped models, by name. InputError for a name that two packages give."""
    found: dict[str, Path] = {}
    for entry in sorted(entry_points(group=GROUP)):
        if entry.name in found:
            raise InputError(f"{entry.name}: two installed packages have a model of this name")
        found[entry.name] = Path(str(files(entry.value))) / entry.name
    return found


def models() -> list[ModelResult]:
    """The trained models that can be drawn from by name at once, with what is known of each.

    One that its package names and does not have is told of, and left out.
    """
    found = []
    for name, folder in shipped_models().items():
        if (folder / RUN).is_file():
            found.append(_result(name, folder))
        else:
            note(f"{name}: its package has no {folder / RUN}; install it again")
    return found


def _result(name: str, folder: Path) -> ModelResult:
    record = cast("RunRecord", read_json(folder / RUN))
    shape = record["recipe"]["preprocess"]
    return {
        "name": name,
        "parameters": record["parameters"],
        "preprocess": shape,
        "classes": bool(record["recipe"]["train"]["condition"]),
        "dataset": record["recipe"]["dataset"]["name"],
        "scores": record["scores"],
        "command": record["command"],
        "size": size_of(folder),
        "card": str(folder / "README.md"),
    }
