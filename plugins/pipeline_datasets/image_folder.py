"""Any photos, in a folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pipeline import InputError, IOOnly, stage

from .files import ImageFiles
from .labels import by_folder, by_prefix, by_table, some

JUNK_NAMES = {".ds_store", "thumbs.db", "desktop.ini", "__macosx"}
JUNK_ENDS = {".txt", ".json", ".xmp", ".csv"}
"""What systems and photo programs leave beside photos."""

TRAINING, HELD_OUT = {"train", "training"}, {"val", "valid", "validation", "test"}


@stage
class ImageFolder:
    """All photos below a folder; its sub-folders, if there are any, are the classes.

    Photos directly in ``root`` have no labels. Photos in sub-folders, at any depth, have the
    sub-folder of ``root`` they are in as their class. Both at once are refused, and so is a class
    without a photo. Images and classes are in the order of their names, whatever the order on the
    disk.

    Files and folders whose name starts with a dot are ignored. ``.DS_Store``, ``Thumbs.db``,
    ``desktop.ini``, ``__MACOSX``, ``*.txt``, ``*.json``, ``*.xmp`` and ``*.csv`` are passed over,
    which is told.
    Every other file must be an image that Pillow opens with 16 bits a channel at most: those that
    are not are named, with the reason, when the images are prepared. HEIC needs the extra
    ``photos``.
    """

    root: Annotated[Path, IOOnly()]
    """The folder."""
    labels: Annotated[Literal["folders", "prefix"] | Path, IOOnly()] = "folders"
    """Where classes come from: ``folders``; ``prefix``, what stands before the number in file names
    like ``rose_017.jpg``; or a CSV file below ``root`` with the columns ``file`` and ``label``."""
    parts: Annotated[Literal["auto", "none"], IOOnly()] = "auto"
    """``auto``: where the sub-folders are called ``train`` or ``training``, and ``val``, ``valid``,
    ``validation`` or ``test``, they are the split, and what is in them is read as if it were in
    ``root``. ``none``: they are folders like others."""

    def __call__(self) -> ImageFiles:
        """List the files. Raises InputError when there are none."""
        if not self.root.is_dir():
            raise InputError(f"{self.root}: no such folder; dataset.root names a folder of photos")
        junk: list[Path] = []
        try:
            paths = sorted(_files(self.root, (), junk))
        except OSError as error:
            raise InputError(f"{error.filename}: {error.strerror}") from error
        if not paths:
            raise InputError(f"{self.root}: there are no photos in this folder")
        parts = _parts(paths) if self.parts == "auto" else None
        below = [Path(*path.parts[1:]) for path in paths] if parts else paths
        classes = self._classes(paths, below)
        class_names = sorted({name for name in classes if name is not None})
        if class_names and self.labels == "folders":
            _check_filled(self.root, parts, class_names)
        index = {name: label for label, name in enumerate(class_names)}
        return ImageFiles(
            paths=[self.root / path for path in paths],
            labels=[None if name is None else index[name] for name in classes],
            parts=parts or ["all"] * len(paths),
            class_names=class_names,
            held_out=[part.lower() in HELD_OUT for part in parts] if parts else None,
            remarks=[*_told_junk(self.root, junk), *_told_parts(self.root, parts)],
        )

    def _classes(self, paths: Sequence[Path], below: Sequence[Path]) -> list[str | None]:
        """The class of each photo; ``below`` are the paths without the folders of the split."""
        if self.labels == "folders":
            return by_folder(self.root, below)
        if self.labels == "prefix":
            return by_prefix(self.root, paths)
        return by_table(self.root, paths, Path(self.labels))


def _parts(paths: Sequence[Path]) -> list[str] | None:
    """The first folder of each path, where these are the two sides of a split and nothing else."""
    first = [path.parts[0] if len(path.parts) > 1 else "" for path in paths]
    names = {name.lower() for name in first}
    both = names & TRAINING and names & HELD_OUT
    return first if both and names <= TRAINING | HELD_OUT else None


def _told_junk(root: Path, junk: Sequence[Path]) -> Iterator[str]:
    if junk:
        names = some(sorted(path.relative_to(root) for path in junk))
        yield f"{root}: passed over what is no photo: {names}"


def _told_parts(root: Path, parts: Sequence[str] | None) -> Iterator[str]:
    if parts:
        counts = Counter(parts)
        for_training = [name for name in sorted(counts) if name.lower() in TRAINING]
        held_out = [name for name in sorted(counts) if name not in for_training]
        train, rest = (
            " and ".join(f"{counts[name]} in {name}/" for name in names)
            for names in (for_training, held_out)
        )
        yield (
            f"{root}: the folders are the split: {train} to train with, {rest} to validate with; "
            "split.validation does not count (dataset.parts: none for folders like others)"
        )


def _check_filled(root: Path, parts: Sequence[str] | None, class_names: Sequence[str]) -> None:
    """InputError for class folders in which there is no photo."""
    folders: set[str] = set()
    for base in [root / part for part in sorted(set(parts))] if parts else [root]:
        with os.scandir(base) as entries:
            folders |= {e.name for e in entries if e.is_dir() and not _is_hidden_or_junk(e.name)}
    if empty := sorted(folders - set(class_names)):
        raise InputError(
            f"{root}: no photos are in the class folders {some(empty)}; "
            "put some there, or remove these folders"
        )


def _is_hidden_or_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in JUNK_NAMES


def _files(folder: Path, above: tuple[str, ...], junk: list[Path]) -> Iterator[Path]:
    """Paths of all photos that are not hidden, relative to ``folder``; links are followed.

    What else there is goes into ``junk``, whole.
    """
    here = os.path.realpath(folder)
    if here in above:
        raise InputError(f"{folder}: is a link to a folder that it is in; remove it")
    with os.scandir(folder) as entries:
        for entry in entries:
            path = folder / entry.name
            if entry.name.lower() in JUNK_NAMES:
                junk.append(path)
            elif entry.name.startswith("."):
                continue
            elif entry.is_dir():
                inner = _files(path, (*above, here), junk)
                yield from (Path(entry.name, below) for below in inner)
            elif path.suffix.lower() in JUNK_ENDS:
                junk.append(path)
            else:
                yield Path(entry.name)
