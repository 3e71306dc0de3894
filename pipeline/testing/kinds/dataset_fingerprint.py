"""What a dataset's fingerprint has to keep: all of the content counts, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from ...plugin.contracts import Dataset
from ...plugin.options import options
from ...store.fingerprints import sha256_of
from .. import worker
from ..core import Context, Wrong
from ..problems.folder_copies import ORDERS, Copy, bitmaps, copied, listed
from ..same import same
from ..variants import changed
from .identities import listing

SIDE_FILES, BYTES = 8, 48
"""Files beside the images that may hold labels, and bytes of each that are changed in turn."""
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff")
"""How encoded images begin."""
_TABLES = (".mat", ".npy")
"""Binary files whose readers survive any content."""
_NO_FOLDER = "no folder that could be copied and changed"


def fingerprint_is_stable(stage: Dataset, _: Context) -> str:
    """Built again and in another process: the same lists, in the same order, and fingerprint."""
    here, again = _listing(stage), _listing(stage)
    there = worker.behaviour("identities", stage)
    if not isinstance(here["fingerprint"], str) or not here["fingerprint"]:
        raise Wrong(f"the fingerprint is {here['fingerprint']!r}, not text")
    for where, other in (("built again", again), ("in another process", there)):
        _same_listing(here, other, where, "sort sets, and use hashlib: hash() is salted")
    return f"{here['fingerprint'][:12]}…, here and in another process"


def ignores_the_order_of_the_disk(stage: Dataset, _: Context) -> str:
    """File systems list directories in an order of their own."""
    here = _listing(stage)
    for name, order in ORDERS.items():
        with listed(order):
            there = _listing(stage)
        where = f"when the disk lists its directories in {name} order"
        _same_listing(here, there, where, "sort what you list")
    return f"the same when directories are listed in {len(ORDERS)} orders"


def fingerprint_is_that_of_a_copy(stage: Dataset, _: Context) -> str:
    """Content counts: not where it is, nor when it was written."""
    with _copy(stage) as copy:
        if not copy:
            return _NO_FOLDER
        here, there = _listing(stage), _listing(copy.stage)
        if here["fingerprint"] != there["fingerprint"]:
            raise Wrong(
                "a copy of its folder has another fingerprint: leave paths and times out of it"
            )
    return "a copy of its folder has the same"


def fingerprint_sees_a_pixel(stage: Dataset, _: Context) -> str:
    """One pixel changed, in a file of the same name, size and time: another fingerprint."""
    with _copy(stage) as copy:
        if not copy:
            return _NO_FOLDER
        source = stage()
        first: Any = source.image(0)
        if not isinstance(first, Path):
            return _changed_byte(copy)
        told = []
        for index in dict.fromkeys((0, len(source) // 2, len(source) - 1)):
            file: Any = source.image(index)
            prints = []
            for content in bitmaps(file):
                copy.write(copy.at(file), content)
                prints.append(_fingerprint(copy.stage))
            if prints[0] == prints[1]:
                raise Wrong(
                    f"one pixel of image {index} changed, and the fingerprint did not: hash each "
                    "file's content, digest(path)"
                )
            told.append(str(index))
    return f"one pixel of image {', '.join(told)}: another fingerprint each time"


def fingerprint_sees_a_label(stage: Dataset, _: Context) -> str:
    """A label changed where it comes from: a folder's name, or a file beside the images."""
    for change in (_moved, _side_files):
        with _copy(stage) as copy:
            if not copy:
                return _NO_FOLDER
            before = _listing(copy.stage)
            for what in change(copy):
                try:
                    after = _listing(copy.stage)
                except Exception:  # damaged on purpose: it may fail as it likes
                    continue
                if _labels(after) == _labels(before) or len(after["labels"]) != len(
                    before["labels"]
                ):
                    continue
                if after["fingerprint"] == before["fingerprint"]:
                    raise Wrong(f"{what}, a label is another one, and the fingerprint is not")
                return f"{what}: another fingerprint"
    return "its labels come from no file that could be changed"


def fingerprint_sees_options(stage: Dataset, context: Context) -> str:
    """Other images or labels by other options: another fingerprint."""
    here, told = _fingerprint(stage), []
    index = next(i for i, v in enumerate(context.variants) if v.stage is stage)
    shown = context.shown(index)
    for name, option in options(type(stage)).items():
        if option.io_only:
            continue
        for value, other in changed(context, index, option):
            try:
                there = _fingerprint(other)
            except InputError:
                continue
            if there == here and not same(context.behaviour(other), shown):
                raise Wrong(f"with {name}={value} the images are others, the fingerprint is not")
            told.append(name)
            break
    return f"{', '.join(told)}: another fingerprint" if told else ""


CHECKS = (
    fingerprint_is_stable,
    ignores_the_order_of_the_disk,
    fingerprint_is_that_of_a_copy,
    fingerprint_sees_a_pixel,
    fingerprint_sees_a_label,
    fingerprint_sees_options,
)


def _listing(stage: Dataset) -> dict[str, Any]:
    return listing(stage())


def _fingerprint(stage: Dataset) -> str:
    return stage().fingerprint(sha256_of)


def _labels(found: dict[str, Any]) -> list[Any]:
    return [found["labels"], found["parts"], found["class names"]]


def _same_listing(here: dict[str, Any], there: dict[str, Any], where: str, cure: str) -> None:
    other = [name for name in here if here[name] != there[name]]
    if other:
        raise Wrong(f"{where} it differs, or comes in another order, in {', '.join(other)}: {cure}")


@contextmanager
def _copy(stage: Dataset) -> Iterator[Copy | None]:
    with copied(stage, stage().image(0)) as copy:
        yield copy


def _changed_byte(copy: Copy) -> str:
    """For images within larger files: one byte of an image in the largest."""
    before = _fingerprint(copy.stage)
    file = max(_files(copy.root), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    starts = [place for magic in _MAGIC if (place := content.find(magic)) >= 0]
    content[min(starts) + 45 if starts else len(content) // 2] ^= 1
    copy.write(file, bytes(content))
    try:
        after = _fingerprint(copy.stage)
    except Exception:  # damaged on purpose: it may fail as it likes
        return f"a changed byte of {file.name} is refused"
    if before == after:
        raise Wrong(f"one byte of {file.name} changed, and the fingerprint did not")
    return f"one byte of {file.name}: another fingerprint"


def _moved(copy: Copy) -> Iterator[str]:
    """The last file of a class into the folder of the next one, where it is first."""
    source = copy.stage()
    for index in range(len(source) - 1):
        file, after = source.image(index), source.image(index + 1)
        if source.labels[index] == source.labels[index + 1] or not isinstance(file, Path):
            continue
        if file.parent != after.parent:
            file.rename(after.parent / f"!{file.name}")
            yield f"image {index} moved to another folder"
            return


def _side_files(copy: Copy) -> Iterator[str]:
    """One byte after another of the files that are no images."""
    source = copy.stage()
    images = {source.image(i) for i in range(len(source)) if isinstance(source.image(i), Path)}
    beside = [f for f in _files(copy.root) if f not in images and 0 < f.stat().st_size < 2**20]
    for file in [f for f in beside if f.suffix in _TABLES or _is_text(f)][:SIDE_FILES]:
        content = file.read_bytes()
        for place in sorted({int(i) for i in np.linspace(0, len(content) - 1, BYTES)}):
            changed_byte = bytearray(content)
            changed_byte[place] ^= 1
            copy.write(file, bytes(changed_byte))
            yield f"one byte of {file.name} changed"
        copy.write(file, content)


def _is_text(file: Path) -> bool:
    try:
        return "\0" not in file.read_text("utf-8")
    except UnicodeDecodeError:
        return False


def _files(root: Path) -> Sequence[Path]:
    found = [Path(top, name) for top, _, names in os.walk(root) for name in names]
    return sorted(file for file in found if file.is_file())
