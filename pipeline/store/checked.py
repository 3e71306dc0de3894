"""Text that carries its own digest: a flipped bit or a lost end is noticed when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from ..records import Plain
from .folders import write_text

DIGEST = "digest"
"""The key, in JSON, of the SHA-256 of all the rest."""


def write_json(path: Path, data: Mapping[str, object]) -> None:
    """Write plain data as JSON with its digest, which ``read_json`` checks. NaN is refused."""
    write_text(path, json.dumps({DIGEST: _digest(data), **data}, indent=1, allow_nan=False))


def read_json(path: Path) -> Plain:
    """What ``write_json`` wrote. ValueError if it is damaged, OSError if it cannot be read."""
    data = json.loads(path.read_bytes())
    if not isinstance(data, dict) or data.pop(DIGEST, None) != _digest(data):
        raise ValueError(f"{path} is damaged: its digest differs")
    return data


def write_lines(path: Path, lines: list[str]) -> None:
    """Write lines of JSON and, as the last one, their digest, which ``read_lines`` checks."""
    write_text(path, "".join(f"{line}\n" for line in [*lines, _seal(lines)]))


def read_lines(path: Path) -> list[str]:
    """The lines that ``write_lines`` wrote. ValueError if they are damaged."""
    *lines, seal = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if seal != _seal(lines):
        raise ValueError(f"{path} is damaged: its digest differs")
    return lines


def _digest(data: Mapping[str, object]) -> str:
    """The same for what ``json.loads`` gives back, whatever the layout of the text."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _seal(lines: list[str]) -> str:
    return json.dumps({DIGEST: hashlib.sha256("\n".join(lines).encode()).hexdigest()})
