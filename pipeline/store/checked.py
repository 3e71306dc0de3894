"""Text that carries its own digest: a flipped bit or a lost end is noticed when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError
from ..records import Plain
from .folders import write_text

DIGEST = "digest"
"""The key, in JSON, of the SHA-256 of all the rest."""


class Damaged(InputError, ValueError):
    """A file is not as it was written."""

    def __init__(self, path: Path, why: str = "its digest differs") -> None:
        super().__init__(f"{path} is damaged: {why}")


@contextmanager
def as_written(path: Path) -> Iterator[None]:
    """Damaged where what was read from a file is not of the form that is written there.

    A digest tells what has changed by itself, not what a stranger wrote with a digest.
    """
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Damaged(path, f"is not as this version writes it ({error!r})") from error


def write_json(path: Path, data: Mapping[str, object]) -> None:
    """Write plain data as JSON with its digest, which ``read_json`` checks. NaN is refused."""
    plain = json.loads(json.dumps(data, allow_nan=False))  # as it will be read: keys as texts
    write_text(path, json.dumps({DIGEST: _digest(plain), **plain}, indent=1))


def read_json(path: Path) -> Plain:
    """What ``write_json`` wrote. Damaged, a ValueError; OSError if it cannot be read."""
    data = parse_json(path)
    if data.pop(DIGEST, None) != _digest(data):
        raise Damaged(path)
    return data


def parse_json(path: Path) -> Plain:
    """A mapping in JSON, its digest unchecked and in it. Damaged if it is something else."""
    try:
        data: Plain = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise Damaged(path, "it is not JSON") from error
    if not isinstance(data, dict):
        raise Damaged(path, "it is no mapping")
    return data


def write_lines(path: Path, lines: list[str]) -> None:
    """Write lines of JSON and, as the last one, their digest, which ``read_lines`` checks."""
    write_text(path, "".join(f"{line}\n" for line in [*lines, _seal(lines)]))


def read_lines(path: Path) -> list[str]:
    """The lines that ``write_lines`` wrote. Damaged, a ValueError, if they are not."""
    try:
        *lines, seal = path.read_bytes().decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise Damaged(path) from error
    if seal != _seal(lines):
        raise Damaged(path)
    return lines


def _digest(data: Mapping[str, object]) -> str:
    """The same for what ``json.loads`` gives back, whatever the layout of the text."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _seal(lines: list[str]) -> str:
    return json.dumps({DIGEST: hashlib.sha256("\n".join(lines).encode()).hexdigest()})
