"""What is in a workspace beside what counts: leftovers of killed processes, and damage.

Weights are a pair: ``NAME.json`` names its file of tensors, ``NAME.safetensors`` or
``NAME.other.safetensors``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..records import Plain
from .checked import DIGEST, Damaged, parse_json, read_json, read_lines
from .fingerprints import sha256_of
from .folders import remove_leftovers
from .locks import HELD
from .manifest import MANIFEST

TENSORS = ".safetensors"
_LIBRARYS = re.compile(r"\.tmp[A-Za-z0-9]{6}")
"""What the safetensors library, which wrote weights in older versions, called its own files."""


def tidy(workspace: Path) -> None:
    """Remove what killed processes left in a workspace that nobody is writing to."""
    remove_leftovers(workspace)
    for mark in workspace.glob("*" + HELD):
        mark.unlink(missing_ok=True)
    for path in [*workspace.rglob(".tmp*"), *workspace.rglob("*" + TENSORS)]:
        if _LIBRARYS.fullmatch(path.name) or (path.suffix == TENSORS and _is_orphan(path)):
            path.unlink(missing_ok=True)


def harms(workspace: Path) -> Iterator[tuple[str, str]]:
    """The files of a workspace that are not as they were written, each with what is wrong.

    Files that carry no digest, as those of older versions, are not looked at.
    """
    for path in sorted(workspace.rglob("*.json*")):
        if path.name != MANIFEST and not path.name.startswith("."):
            try:
                _check(path)
            except (Damaged, OSError) as error:
                yield path.relative_to(workspace).as_posix(), str(error)


def _check(path: Path) -> None:
    """Damaged for JSON, or lines of it, with another digest; for tensors and grids not its own."""
    if path.suffix == ".jsonl":
        if DIGEST.encode() in path.read_bytes().rpartition(b"\n{")[2]:
            read_lines(path)
        return
    data = parse_json(path)
    if "format" in data or DIGEST in data:
        data = read_json(path)
    tensors = _tensors_of(path, data)
    check_grids(path, data)
    if "sha256" in data and data["sha256"] != sha256_of(tensors):
        raise Damaged(tensors)


def check_grids(history: Path, data: Plain) -> None:
    """Damaged for a grid beside ``history.json`` whose digest is not the one in its ``data``."""
    for name, digest in data.get("grids", {}).items():
        grid = history.parent / "grids" / name
        if not grid.is_file() or sha256_of(grid) != digest:
            raise Damaged(grid)


def _tensors_of(file: Path, data: Plain) -> Path:
    name = data.get("file", file.stem + TENSORS)
    return file.with_name(name if isinstance(name, str) else file.stem + TENSORS)


def _is_orphan(path: Path) -> bool:
    """Whether no JSON names this file of tensors; damaged JSON may have."""
    file = path.with_name(path.name.removesuffix(TENSORS).removesuffix(".other") + ".json")
    try:
        return not file.exists() or _tensors_of(file, parse_json(file)) != path
    except Damaged:
        return False
