"""What an artifact was made of: its key, and the manifest that makes its folder complete."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from ..plugin.every import Every
from .fingerprints import sha256_of
from .folders import fsync, write_text

FORMAT = 1
"""Part of every key: raise it when what a manifest or a key means changes."""
NAME = "manifest.json"
LARGE = 2**30
"""Bytes above which opening an artifact checks only a file's size: hashing would take seconds, and
HDF5 datasets carry a fletcher32 checksum in each chunk, checked as it is read."""


def canonical(value: Any, path: str = "ingredients") -> Any:
    """``value`` as JSON data that is the same on every machine and in every process.

    TypeError for a type that is not listed here: its text could hold an address or hide an option.
    ValueError for NaN and infinity, which JSON has not.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{path} is {value}, which cannot be part of a key")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, PurePath):
        return value.as_posix()
    if isinstance(value, Every):
        return str(value)
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: canonical(inner, f"{path}.{name}") for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(inner, f"{path}.{i}") for i, inner in enumerate(value)]
    raise TypeError(f"{path}: a {type(value).__qualname__} cannot be part of a key: {value!r}")


def key_of(kind: str, ingredients: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of format, kind and ingredients: 64 hexadecimal digits."""
    content = {"format": FORMAT, "kind": kind, "ingredients": canonical(ingredients)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def files_in(folder: Path) -> list[Path]:
    """All files below ``folder`` except its manifest, sorted."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / NAME)


def write(
    folder: Path, kind: str, ingredients: Mapping[str, Any], why: str, files: list[Path]
) -> None:
    """Describe ``folder`` by a manifest; it and ``files`` are on the disk when this returns."""
    for file in files:
        fsync(file)
    manifest = {
        "format": FORMAT,
        "kind": kind,
        "ingredients": canonical(ingredients),
        "files": {
            file.relative_to(folder).as_posix(): {
                "size": file.stat().st_size,
                "sha256": sha256_of(file),
            }
            for file in files
        },
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
        "why": why,
        "versions": {
            "python": ".".join(map(str, sys.version_info[:3])),
            **{name: version(name) for name in ("torch", "diffusion-pipeline")},
        },
    }
    write_text(folder / NAME, json.dumps(manifest, indent=1))


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest of an artifact or a workspace; None when it is not there or not ours."""
    try:
        manifest = json.loads((folder / NAME).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    sound = isinstance(manifest, dict) and manifest.get("format") == FORMAT
    return manifest if sound and {"ingredients", "files", "created"} <= manifest.keys() else None


def damage(folder: Path, key: str, large: int | None = LARGE) -> str:
    """What is wrong with the artifact in ``folder``; "" when nothing is.

    Files of more than ``large`` bytes are not hashed; with None, all are.
    """
    manifest = read(folder)
    try:
        if not manifest or key_of(folder.parent.name, manifest["ingredients"]) != key:
            return f"{NAME} was damaged"
        for name, was in manifest["files"].items():
            file = folder / name
            if not file.is_file():
                return f"{name} was damaged: it is missing"
            if (size := file.stat().st_size) != was["size"]:
                return f"{name} was damaged: it has {size} bytes instead of {was['size']}"
            if (large is None or size <= large) and sha256_of(file) != was["sha256"]:
                return f"{name} was damaged: its digest differs"
    # A flipped bit in the manifest's own words, or another process is just replacing the folder.
    except (KeyError, TypeError, ValueError, AttributeError, FileNotFoundError):
        return f"{NAME} was damaged"
    return ""
