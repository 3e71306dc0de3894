"""Checks of a dataset's fingerprint: all of the content counts, and nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from unittest.mock import patch

import numpy as np

from ...errors import InputError
from ...plugin.data import Dataset, Source
from ...plugin.options import Option, options
from ...store.fingerprints import sha256_of
from ..context import Check, Context, Wrong
from ..problems.folder_copies import (
    ORDERS,
    FolderCopy,
    bitmaps,
    directories_listed,
    folder_copy,
    is_of_files,
)
from ..same import same
from ..variants import variations
from ..worker import call_elsewhere

SIDE_FILES, BYTES = 8, 48
"""Files beside the images that may hold labels, and bytes of each that are changed in turn."""
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff")
"""How encoded images begin."""
_TABLES = (".mat", ".npy")
"""Binary files whose readers survive any content."""
_NO_FOLDER = "no folder that could be copied and changed"


@dataclass(frozen=True)
class Listing:
    """All that a dataset says without opening an image."""

    files: list[str]
    """The names of the images' files; empty where images are no files."""
    labels: list[int | None]
    parts: list[str]
    class_names: list[str]
    fingerprint: str


def fingerprint_is_stable(stage: Dataset, _: Context) -> str:
    """Lists, their order and the fingerprint are the same when built again, and elsewhere."""
    here, again = listing(stage), listing(stage)
    elsewhere = call_elsewhere(listing, stage)
    tomorrow = time.time() + 86_400
    with patch("time.time", lambda: tomorrow):
        later = listing(stage)
    if not isinstance(here.fingerprint, str) or not here.fingerprint:
        raise Wrong(f"the fingerprint is {here.fingerprint!r}, not text")
    others = {"built again": again, "in another process": elsewhere, "a day later": later}
    for where, other in others.items():
        _same_listing(here, other, where, "sort sets, and use hashlib: hash() is salted")
    return f"{here.fingerprint[:12]}…, here and in another process"


def ignores_the_order_of_the_disk(stage: Dataset, _: Context) -> str:
    """File systems list directories in an order of their own."""
    before = listing(stage)
    for name, order in ORDERS.items():
        with directories_listed(order):
            after = listing(stage)
        where = f"when the disk lists its directories in {name} order"
        _same_listing(before, after, where, "sort what you list")
    return f"the same when directories are listed in {len(ORDERS)} orders"


def fingerprint_is_that_of_a_copy(stage: Dataset, _: Context) -> str:
    """Content counts: not where it is, nor when it was written."""
    with folder_copy(stage) as copy:
        if not copy:
            return _NO_FOLDER
        if _fingerprint(stage) != _fingerprint(copy.stage):
            raise Wrong(
                "a copy of its folder has another fingerprint: leave paths and times out of it"
            )
    return "a copy of its folder has the same"


def fingerprint_sees_a_pixel(stage: Dataset, _: Context) -> str:
    """One other pixel, in a file of the same name, size and time, gives another fingerprint."""
    with folder_copy(stage) as copy:
        if not copy:
            return _NO_FOLDER
        source = stage()
        if not is_of_files(source):
            return _sees_a_byte(copy)
        indices = dict.fromkeys((0, len(source) // 2, len(source) - 1))
        for index in indices:
            if not _sees_a_pixel_of(copy, source.image(index)):
                raise Wrong(
                    f"one pixel of image {index} changed, and the fingerprint did not: hash each "
                    "file's content, digest(path)"
                )
    return f"one pixel of image {', '.join(map(str, indices))}: another fingerprint each time"


def fingerprint_sees_a_label(stage: Dataset, _: Context) -> str:
    """A label changed in its folder's name, or a file beside the images, gives another."""
    for changes in (_moved, _side_files):
        with folder_copy(stage) as copy:
            if not copy:
                return _NO_FOLDER
            before = listing(copy.stage)
            for what in changes(copy):
                try:
                    after = listing(copy.stage)
                except Exception:  # damaged on purpose: it may fail as it likes
                    continue
                if not _other_labels(before, after):
                    continue
                if after.fingerprint == before.fingerprint:
                    raise Wrong(f"{what}, a label is another one, and the fingerprint is not")
                return f"{what}: another fingerprint"
    return "its labels come from no file that could be changed"


def fingerprint_sees_a_class_name(stage: Dataset, _: Context) -> str:
    """A class that is called otherwise gives another, where folders name the classes."""
    with folder_copy(stage) as copy:
        if not copy:
            return _NO_FOLDER
        before = listing(copy.stage)
        folder = Path(before.files[-1]).parent if before.files else copy.root
        if not before.class_names or folder.name != before.class_names[-1]:
            return "its last class is no folder"
        folder.rename(folder.with_name(f"{folder.name}z"))
        after = listing(copy.stage)
        if after.class_names != before.class_names and after.fingerprint == before.fingerprint:
            raise Wrong(
                f"class {before.class_names[-1]} became {after.class_names[-1]}, and the "
                "fingerprint did not change: a recipe names classes"
            )
    return "another class name: another fingerprint"


def fingerprint_sees_exchanged_labels(stage: Dataset, _: Context) -> str:
    """Two images that take each other's place, and so each other's label, give another."""
    with folder_copy(stage) as copy:
        if not copy:
            return _NO_FOLDER
        source = copy.stage()
        pair = _of_two_classes(source) if is_of_files(source) else None
        if pair is None:
            return "no two files with other labels"
        before, contents = _fingerprint(copy.stage), [file.read_bytes() for file in pair]
        for file, content in zip(pair, reversed(contents), strict=True):
            copy.write(file, content)
        if _fingerprint(copy.stage) == before:
            raise Wrong(
                "two images of different labels changed places, and the fingerprint did not: hash "
                "each image together with its label, in order"
            )
    return "two images that changed places: another fingerprint"


def fingerprint_sees_options(stage: Dataset, context: Context) -> str:
    """Options that change images or labels change the fingerprint."""
    fingerprint = _fingerprint(stage)
    tried = [
        name
        for name, option in options(type(stage)).items()
        if not option.io_only and _sees_an_option(stage, fingerprint, option, context)
    ]
    return f"{', '.join(tried)}: another fingerprint" if tried else ""


CHECKS: Sequence[Check] = (
    fingerprint_is_stable,
    ignores_the_order_of_the_disk,
    fingerprint_is_that_of_a_copy,
    fingerprint_sees_a_pixel,
    fingerprint_sees_a_label,
    fingerprint_sees_a_class_name,
    fingerprint_sees_exchanged_labels,
    fingerprint_sees_options,
)


def listing(stage: Dataset) -> Listing:
    """What the dataset says, by a function that another process can be told to call."""
    source = stage()
    items = [source.image(i) for i in range(len(source))] if is_of_files(source) else []
    return Listing(
        files=[str(item) for item in items],
        labels=list(source.labels),
        parts=list(source.parts),
        class_names=list(source.class_names),
        fingerprint=source.fingerprint(sha256_of),
    )


def _fingerprint(stage: Dataset) -> str:
    return stage().fingerprint(sha256_of)


def _same_listing(before: Listing, after: Listing, where: str, cure: str) -> None:
    other = [
        field.name.replace("_", " ")
        for field in fields(Listing)
        if getattr(before, field.name) != getattr(after, field.name)
    ]
    if other:
        raise Wrong(f"{where} it differs, or comes in another order, in {', '.join(other)}: {cure}")


def _other_labels(before: Listing, after: Listing) -> bool:
    """Whether labels are others, though there are as many as before."""
    others = [[x.labels, x.parts, x.class_names] for x in (before, after)]
    return others[0] != others[1] and len(before.labels) == len(after.labels)


def _of_two_classes(source: Source) -> tuple[Path, Path] | None:
    """Two files of different content and labels; None where there are none."""
    first = source.image(0)
    for index in range(len(source)):
        file = source.image(index)
        if not isinstance(first, Path) or not isinstance(file, Path):
            return None
        if source.labels[index] != source.labels[0] and file.read_bytes() != first.read_bytes():
            return first, file
    return None


def _sees_a_pixel_of(copy: FolderCopy, file: object) -> bool:
    """Whether the fingerprint changes with any pixel of an image file; the file stays changed."""
    assert isinstance(file, Path)
    fingerprints = []
    for content in bitmaps(file):
        copy.write(copy.at(file), content)
        fingerprints.append(_fingerprint(copy.stage))
    return len({*fingerprints}) == len(fingerprints)


def _sees_a_byte(copy: FolderCopy) -> str:
    """What was measured with one byte of an image changed, which lies within the largest file."""
    before = _fingerprint(copy.stage)
    file = max(_files(copy.root), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    starts = [start for magic in _MAGIC if (start := content.find(magic)) >= 0]
    content[min(starts) + 45 if starts else len(content) // 2] ^= 1
    copy.write(file, bytes(content))
    try:
        after = _fingerprint(copy.stage)
    except Exception:  # damaged on purpose: it may fail as it likes
        return f"a changed byte of {file.name} is refused"
    if before == after:
        raise Wrong(f"one byte of {file.name} changed, and the fingerprint did not")
    return f"one byte of {file.name}: another fingerprint"


def _sees_an_option(stage: Dataset, before: str, option: Option, context: Context) -> bool:
    """Whether another value could be tried. Raises Wrong where only the images are others."""
    index = context.index_of(stage)
    for value, other in variations(context, index, option):
        try:
            after = _fingerprint(other)
        except InputError:
            continue
        if after == before and not same(context.behaviour(other), context.observed(index)):
            raise Wrong(f"with {option.name}={value} the images are others, the fingerprint is not")
        return True
    return False


def _moved(copy: FolderCopy) -> Iterator[str]:
    """The last file of a class into the folder of the next one, where it is first."""
    source = copy.stage()
    for index in range(len(source) - 1):
        file, after = source.image(index), source.image(index + 1)
        if source.labels[index] == source.labels[index + 1]:
            continue
        if isinstance(file, Path) and isinstance(after, Path) and file.parent != after.parent:
            file.rename(after.parent / f"!{file.name}")
            yield f"image {index} moved to another folder"
            return


def _side_files(copy: FolderCopy) -> Iterator[str]:
    """One byte after another of the files that are no images."""
    source = copy.stage()
    images = {source.image(i) for i in range(len(source)) if isinstance(source.image(i), Path)}
    beside = [f for f in _files(copy.root) if f not in images and 0 < f.stat().st_size < 2**20]
    for file in [f for f in beside if f.suffix in _TABLES or _is_text(f)][:SIDE_FILES]:
        content = file.read_bytes()
        for at in sorted({int(i) for i in np.linspace(0, len(content) - 1, BYTES)}):
            changed = bytearray(content)
            changed[at] ^= 1
            copy.write(file, bytes(changed))
            yield f"one byte of {file.name} changed"
        copy.write(file, content)


def _is_text(file: Path) -> bool:
    try:
        return "\0" not in file.read_text("utf-8")
    except UnicodeDecodeError:
        return False


def _files(root: Path) -> Sequence[Path]:
    files = [Path(top, name) for top, _, names in os.walk(root) for name in names]
    return sorted(file for file in files if file.is_file())
