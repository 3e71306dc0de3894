"""Pictures in a folder that the user chose: nothing but what an earlier call wrote is replaced."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

from PIL.Image import Image

from ..errors import InputError
from ..store.fingerprints import sha256_of
from ..store.folders import HOUR, remove_leftovers, replacing, write_text

WRITTEN = "samples.json"
"""Whose samples a folder holds, and the digests of the files that were written."""

OURS = re.compile(r"grid\.png|images/\d{5,}\.png").fullmatch
"""The files that are ever written; what another hand adds to the list is not touched."""

AT_ONCE = 2**25
"""Bytes of pictures that are noted at once: the list is written anew for each lot of them."""

Digests = dict[str, list[str]]
"""For each file, by its path in the folder, the SHA-256 of all that may stand there."""


def png(picture: Image) -> bytes:
    """A picture as the bytes of a PNG."""
    file = BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return file.getvalue()


def write_pictures(
    folder: Path, files: Mapping[str, bytes], run: str, about: Mapping[str, object] | None = None
) -> None:
    """Write files by their paths in ``folder``, in place of those of an earlier call for this run.

    ``samples.json`` says of them what ``about`` does.
    The contents of a few ``files`` are in memory at a time. InputError, and nothing is touched,
    where a file would be lost that no such call wrote.
    """
    for place in (folder, folder / "images"):
        remove_leftovers(place, HOUR, deep=False)
    old = _written(folder, run)
    _refuse_others(folder, {*files, *old}, old)
    new: Digests = {}
    for few in _few_at_a_time(files):
        new |= {name: [hashlib.sha256(content).hexdigest()] for name, content in few.items()}
        # Both are noted first: a killed call leaves nothing that the next one would not know.
        both = {name: old.get(name, []) + new.get(name, []) for name in {*old, *new}}
        _note(folder, run, both, about)
        for name, content in few.items():
            (folder / name).parent.mkdir(exist_ok=True)
            with replacing(folder / name) as partial:
                partial.write_bytes(content)
    for name in old.keys() - new.keys():  # of a larger request
        (folder / name).unlink(missing_ok=True)
    _note(folder, run, new, about)


def _few_at_a_time(files: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    """The files in order, as many at a time as have ``AT_ONCE`` bytes."""
    few, size = dict[str, bytes](), 0
    for name, content in files.items():
        few[name] = content
        size += len(content)
        if size >= AT_ONCE:
            yield few
            few, size = {}, 0
    yield few


def _written(folder: Path, run: str) -> Digests:
    """What earlier calls wrote into a folder. InputError where they were for another run."""
    file = folder / WRITTEN
    if not file.exists():
        return {}
    try:
        noted = json.loads(file.read_text("utf-8"))
        files = {name: list(digests) for name, digests in noted["files"].items() if OURS(name)}
        owner = noted["run"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{file}: is damaged; choose another folder, or remove this one") from None
    if owner != run:
        raise InputError(
            f"{folder}: holds samples of {owner}; choose another folder with --out, or remove it"
        )
    return files


def _refuse_others(folder: Path, names: set[str], known: Digests) -> None:
    """InputError where one of these names is taken by what was not written by us."""
    for place in (folder, folder / "images"):
        if (place.exists() or place.is_symlink()) and not place.is_dir():
            raise InputError(f"{place}: is not a folder; choose another with --out")
    for name in sorted(names):
        path = folder / name
        there = path.exists() or path.is_symlink()
        if there and not (path.is_file() and sha256_of(path) in known.get(name, ())):
            raise InputError(
                f"{path}: was not written by `pipeline sample`, or was changed since; choose "
                "another folder with --out, or move it away"
            )


def _note(folder: Path, run: str, files: Digests, about: Mapping[str, object] | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"run": run, **(about or {}), "files": dict(sorted(files.items()))}, indent=1)
    write_text(folder / WRITTEN, text + "\n")
