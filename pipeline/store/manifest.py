"""The key of an artifact, and the manifest that completes its folder."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import TypedDict, cast

import numpy as np

from ..errors import InputError
from ..machine import versions
from ..plugin.every import Every
from ..records import Plain
from .checked import Damaged, parse_json, read_json, write_json
from .fingerprints import sha256_of
from .folders import fsync

FORMAT = 3
"""Part of every key: raise it when what a key means changes."""
MANIFEST_FORMAT = 2
"""Raise it when what a manifest means changes. Format 1 had no digest of itself."""
MANIFEST = "manifest.json"
LARGE = 2**30
"""Bytes above which opening an artifact checks only a file's size: hashing would take seconds, and
HDF5 datasets carry a fletcher32 checksum in each chunk, checked as it is read."""


class FileRecord(TypedDict):
    """The size and digest of an undamaged file."""

    size: int
    """Bytes."""
    sha256: str


class Manifest(TypedDict):
    """``manifest.json`` of an artifact or a workspace."""

    format: int
    kind: str
    ingredients: Plain
    """All that the content depends on, in canonical form; the key is their digest."""
    files: dict[str, FileRecord]
    """The files by their paths in the folder; a workspace lists none."""
    created: str
    """ISO 8601, UTC."""
    why: str
    """Why it had to be built."""
    versions: dict[str, str]


def canonical(ingredients: Mapping[str, object], path: str = "ingredients") -> Plain:
    """``ingredients`` as JSON data that is the same on every machine and in every process.

    TypeError for a type that is not listed here: its text could hold an address or hide an option.
    ValueError for NaN and infinity, which JSON has not. ``path`` is for these messages.
    """
    return {name: _canonical(value, f"{path}.{name}") for name, value in ingredients.items()}


def _canonical(value: object, path: str) -> object:
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
        return canonical(value, path)
    if isinstance(value, list | tuple):
        return [_canonical(inner, f"{path}.{i}") for i, inner in enumerate(value)]
    raise TypeError(f"{path}: a {type(value).__qualname__} cannot be part of a key: {value!r}")


def key_of(kind: str, ingredients: Mapping[str, object]) -> str:
    """SHA-256 of the canonical JSON of format, kind and ingredients: 64 hexadecimal digits."""
    content = {"format": FORMAT, "kind": kind, "ingredients": canonical(ingredients)}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def content_of(manifest: Manifest) -> str:
    """SHA-256 of an artifact's files and their names, without how they were made."""
    digests = {name: file["sha256"] for name, file in manifest["files"].items()}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def files_in(folder: Path) -> list[Path]:
    """All files below ``folder`` except its manifest, sorted."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)


def write_manifest(
    folder: Path, kind: str, ingredients: Mapping[str, object], why: str, files: list[Path]
) -> None:
    """Describe ``folder`` by a manifest; it and ``files`` are on the disk when this returns."""
    for file in files:
        fsync(file)
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        kind=kind,
        ingredients=canonical(ingredients),
        files={file.relative_to(folder).as_posix(): _file_record(file) for file in files},
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        why=why,
        versions={"python": platform.python_version(), **versions()},
    )
    write_json(folder / MANIFEST, dict(manifest))


def _file_record(file: Path) -> FileRecord:
    return FileRecord(size=file.stat().st_size, sha256=sha256_of(file))


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of an artifact or a workspace; None when it is not there or not as written."""
    manifest = _parsed(folder)
    if manifest.get("format") not in (1, MANIFEST_FORMAT):
        return None
    types = {"ingredients": dict, "files": dict, "created": str}
    sound = all(isinstance(manifest.get(name), kind) for name, kind in types.items())
    return cast(Manifest, manifest) if sound else None


def refuse_other_format(folder: Path) -> None:
    """InputError for a folder that another version wrote: it is neither read nor replaced."""
    number = _parsed(folder).get("format", MANIFEST_FORMAT)
    if number not in (1, MANIFEST_FORMAT):
        raise InputError(
            f"{folder}: another version of pipeline wrote this (format {number}; this one reads "
            f"formats up to {MANIFEST_FORMAT}); use that version, or another store with --store"
        )


def _parsed(folder: Path) -> Plain:
    """The manifest, whatever its format; empty when it is not there or damaged."""
    file = folder / MANIFEST
    try:
        manifest = parse_json(file)
        return manifest if manifest.get("format") == 1 else read_json(file)
    except (FileNotFoundError, NotADirectoryError, Damaged):
        return {}


def damage(folder: Path, key: str, large: int | None = LARGE) -> str:
    """How the artifact in ``folder`` is damaged; empty when it is sound.

    Files of more than ``large`` bytes are not hashed; with None, all are.
    """
    manifest = read_manifest(folder)
    try:
        if not manifest or key_of(folder.parent.name, manifest["ingredients"]) != key:
            return f"{MANIFEST} was damaged"
        for name, record in manifest["files"].items():
            if harm := _harm(folder / name, record, large):
                return f"{name} was damaged: {harm}"
    # A flipped bit in the manifest's own words, or another process is just replacing the folder.
    except (KeyError, TypeError, ValueError, AttributeError, FileNotFoundError):
        return f"{MANIFEST} was damaged"
    return ""


def _harm(file: Path, record: FileRecord, large: int | None) -> str:
    if not file.is_file():
        return "it is missing"
    if (size := file.stat().st_size) != record["size"]:
        return f"it has {size} bytes instead of {record['size']}"
    if (large is None or size <= large) and sha256_of(file) != record["sha256"]:
        return "its digest differs"
    return ""
