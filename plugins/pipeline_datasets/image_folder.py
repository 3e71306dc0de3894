"""Any photos, in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pipeline import InputError, IOOnly, stage

from .files import ImageFiles


@stage
class ImageFolder:
    """All files below a folder; its sub-folders, if there are any, are the classes.

    Photos directly in ``root`` have no labels. Photos in sub-folders, at any depth, have the
    sub-folder of ``root`` they are in as their class. Both at once are refused, and so is a class
    without a photo. Images and classes are in the order of their names, whatever the order on the
    disk. Files and folders whose name starts with a dot are ignored; every other file must be an
    image that Pillow opens with 8 bits a channel: those that are not are named, with the reason,
    when the images are prepared.
    """

    root: Annotated[Path, IOOnly()]
    """The folder."""

    def __call__(self) -> ImageFiles:
        """List the files. Raises InputError when there are none."""
        if not self.root.is_dir():
            raise InputError(f"{self.root}: no such folder; dataset.root names a folder of photos")
        try:
            paths = sorted(_files(self.root, ()))
        except OSError as error:
            raise InputError(f"{error.filename}: {error.strerror}") from error
        if not paths:
            raise InputError(f"{self.root}: there are no photos in this folder")
        folders = [path.parts[0] if len(path.parts) > 1 else None for path in paths]
        loose = [str(path) for path, folder in zip(paths, folders, strict=True) if folder is None]
        if loose and len(loose) < len(paths):
            raise InputError(
                f"{self.root}: has both class folders and {len(loose)} files beside them "
                f"({', '.join(loose[:5])}{', …' * (len(loose) > 5)}); "
                "move these into a class folder or elsewhere"
            )
        class_names = sorted({folder for folder in folders if folder is not None})
        if class_names:
            _check_filled(self.root, class_names)
        index = {name: label for label, name in enumerate(class_names)}
        return ImageFiles(
            paths=[self.root / path for path in paths],
            labels=[None if folder is None else index[folder] for folder in folders],
            parts=["all"] * len(paths),
            class_names=class_names,
        )


def _check_filled(root: Path, class_names: list[str]) -> None:
    """InputError for class folders in which there is no photo."""
    with os.scandir(root) as entries:
        folders = {entry.name for entry in entries if entry.is_dir() and entry.name[0] != "."}
    if empty := sorted(folders - set(class_names)):
        raise InputError(
            f"{root}: no photos are in the class folders {', '.join(empty[:5])}"
            f"{', …' * (len(empty) > 5)}; put some there, or remove these folders"
        )


def _files(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    """Paths of all files that are not hidden, relative to ``folder``; links are followed."""
    here = os.path.realpath(folder)
    if here in above:
        raise InputError(f"{folder}: is a link to a folder that it is in; remove it")
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                inner = _files(folder / entry.name, (*above, here))
                yield from (Path(entry.name, path) for path in inner)
            else:
                yield Path(entry.name)
