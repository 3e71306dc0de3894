"""Exported runs: folders and zips that hold a model with all that is known of it, and no store.

What is in them is copied into the store of whoever uses them, where its digests are checked. Plugin
files are code, and are not loaded unless they are trusted.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO
from zipfile import BadZipFile, ZipFile

from ..errors import InputError
from ..records import ArtifactRecord, RunRecord
from ..store.checked import Damaged, read_json
from ..store.fingerprints import sha256_of
from ..store.folders import make_folder
from ..store.manifest import key_of
from ..store.store import Artifact, Store
from .layout import RUN

PARTS = ("model", "images")
"""The artifacts that an exported run may hold, each a folder in it."""

IMAGE_FACTS = "images.json"
"""What is known of the images without their pixels, in the part ``model``."""


def digests_in(folder: Path) -> dict[str, str]:
    """SHA-256 of each file that is in the folder, as ``run.json`` keeps them."""
    return {
        file.relative_to(folder).as_posix(): sha256_of(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def part_record(part: str, files: Mapping[str, str]) -> ArtifactRecord:
    """How ``run.json`` names a part of an exported run, whose files have these digests."""
    key = key_of(_kind(part), _ingredients(part, files))
    return {"kind": _kind(part), "key": key, "reused": False, "why": "exported"}


def adopted(folder: Path, record: RunRecord, part: str, store: Store) -> Artifact:
    """A part of the exported run in this folder, as an artifact of the store.

    InputError where it was exported without, and where a file is damaged.
    """
    if part not in record["artifacts"]:
        raise InputError(f"{record['name']}: was exported without its {part}{_instead(part)}")
    inside = _ingredients(part, record["files"])

    def build(path: Path) -> None:
        for name, digest in inside["files"].items():
            make_folder((path / name).parent)
            with open_file(folder / part / name) as file:
                _copy(file, path / name, digest, folder / part / name)

    return store.get_or_build(_kind(part), inside, build)


def trusted_plugins(folder: Path, record: RunRecord, given: Sequence[Path]) -> list[Path]:
    """The copies of plugin files in a run's folder that are not among those given.

    InputError where one is not what the run was made with.
    """
    known = {sha256_of(file.expanduser()) for file in given}
    copies = []
    for name, digest in record.get("plugin_files", {}).items():
        copy = folder / name
        if not copy.is_file() or sha256_of(copy) != digest:
            raise InputError(f"{copy}: is not the plugin file that {record['name']} was made with")
        if digest not in known:
            copies.append(copy)
    return copies


def unpacked(file: Path, store: Store) -> Path:
    """The folder of an exported run that is a zip; InputError for any other file.

    Only the files that its ``run.json`` names are taken, with the digests that stand there.
    """
    with _explaining(file), ZipFile(file):
        pass  # a zip at all
    return store.get_or_build("unpacked", {"sha256": store.digest(file)}, _Unpack(file)).path


class _Unpack:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __call__(self, path: Path) -> None:
        with _explaining(self.file), ZipFile(self.file) as zipped:
            names = set(zipped.namelist())
            if RUN not in names:
                raise InputError(f"{self.file}: is no exported run, it has no {RUN}")
            (path / RUN).write_bytes(zipped.read(RUN))
            record = read_json(path / RUN)
            if "exported" not in record:
                raise InputError(
                    f"{self.file}: is no exported run: give what `pipeline export` wrote"
                )
            for name, digest in record["files"].items():
                place = PurePosixPath(name)
                if place.is_absolute() or ".." in place.parts or "\\" in name or ":" in name:
                    raise InputError(f"{self.file}: {name} would lie outside of its folder")
                if name not in names:
                    raise InputError(f"{self.file}: {name} is missing; export it again")
                make_folder((path / name).parent)
                with zipped.open(name) as inside:
                    _copy(inside, path / name, digest, self.file / name)


@contextmanager
def _explaining(file: Path) -> Iterator[None]:
    """InputError for a file that is no zip, or a damaged one."""
    try:
        yield
    except (BadZipFile, Damaged, EOFError, NotImplementedError, KeyError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as an exported run: {error}") from error


@contextmanager
def open_file(path: Path) -> Iterator[IO[bytes]]:
    """A file of an exported run; InputError where it is not there."""
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise InputError(f"{path}: is missing; export the run again") from error


def _copy(file: IO[bytes], to: Path, digest: str, said: Path) -> None:
    with to.open("wb") as copy:
        shutil.copyfileobj(file, copy, 2**20)
    with to.open("rb") as copy:
        found = hashlib.file_digest(copy, "sha256").hexdigest()
    if found != digest:
        raise InputError(f"{said}: is damaged, its digest differs; export the run again")


def _kind(part: str) -> str:
    return f"exported-{part}"


def _ingredients(part: str, files: Mapping[str, str]) -> dict[str, dict[str, str]]:
    begins = f"{part}/"
    return {"files": {n.removeprefix(begins): d for n, d in files.items() if n.startswith(begins)}}


def _instead(part: str) -> str:
    if part == "images":
        return "; export it with --images, or give real images: --against FOLDER"
    return "; its page is report.html in it" if part not in PARTS else ""
