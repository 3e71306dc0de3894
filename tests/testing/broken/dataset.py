"""Datasets."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from PIL import Image, ImageFile
from pydantic import Field

from pipeline import IOOnly, stage
from pipeline_datasets.files import ImageFiles

Digest = Callable[[Path], str]
PHOTOS = Path(__file__).parent / "given/photos"
TABLE = PHOTOS.with_name("table")


def photos(root: Path, cls: type[ImageFiles] = ImageFiles, **changed: Any) -> ImageFiles:
    """A folder of class folders, as ``image_folder`` reads it; ``changed`` is what is wrong."""
    paths = sorted(path for path in root.glob("*/*") if path.is_file())
    names = sorted({path.parent.name for path in paths})
    lists = {
        "paths": paths,
        "labels": [names.index(path.parent.name) for path in paths],
        "parts": ["all"] * len(paths),
        "class_names": names,
    }
    return cls(**{**lists, **changed})


def sha256(known: Any) -> str:
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


@stage
class InDiskOrder:
    """Images come in the order in which the file system lists a directory."""

    caught_by: ClassVar = "ignores the order of the disk"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        folders = sorted(self.root.iterdir())
        paths = [folder / name for folder in folders for name in os.listdir(folder)]
        return photos(self.root, paths=paths)


@stage
class LabelsByDiskOrder:
    """Classes are numbered as the file system lists their folders."""

    caught_by: ClassVar = "ignores the order of the disk"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        names = [entry.name for entry in os.scandir(self.root) if entry.is_dir()]
        paths = photos(self.root).paths
        labels = [names.index(path.parent.name) for path in paths]
        return photos(self.root, labels=labels, class_names=names)


@stage
class OrderOfASet:
    """Images come in the order of a set, another one in each process."""

    caught_by: ClassVar = "fingerprint is stable"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        paths = list({str(path) for path in photos(self.root).paths})
        return photos(self.root, paths=[Path(path) for path in paths])


class _Salted(ImageFiles):
    def fingerprint(self, digest: Digest) -> str:
        return str(hash(super().fingerprint(digest)))


@stage
class Salted:
    """The fingerprint is Python's hash(), salted anew in each process."""

    caught_by: ClassVar = "fingerprint is stable"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        return photos(self.root, _Salted)


class _NamesAndSizes(ImageFiles):
    def fingerprint(self, digest: Digest) -> str:
        sizes = [[path.name, path.stat().st_size] for path in self.paths]
        return sha256([sizes, list(self.labels)])


@stage
class NamesAndSizes:
    """The fingerprint knows the files' names and sizes, not their pixels."""

    caught_by: ClassVar = "fingerprint sees a pixel"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        return photos(self.root, _NamesAndSizes)


class _FirstFiles(ImageFiles):
    def fingerprint(self, digest: Digest) -> str:
        return sha256([[digest(path) for path in self.paths[:5]], list(self.labels)])


@stage
class FirstFiles:
    """The fingerprint looks at the first files only, to save time."""

    caught_by: ClassVar = "fingerprint sees a pixel"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        return photos(self.root, _FirstFiles)


class _PixelsOnly(ImageFiles):
    def fingerprint(self, digest: Digest) -> str:
        return sha256([digest(path) for path in self.paths])


@stage
class PixelsOnly:
    """The fingerprint leaves out the labels."""

    caught_by: ClassVar = "fingerprint sees a label"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        return photos(self.root, _PixelsOnly)


@stage
class PixelsOnlyOfATable:
    """The fingerprint leaves out the labels, which are in a table beside the images."""

    caught_by: ClassVar = "fingerprint sees a label"
    root: Annotated[Path, IOOnly()] = TABLE
    """The folder."""

    def __call__(self) -> ImageFiles:
        lines = (self.root / "labels.csv").read_text().splitlines()
        labels = dict(line.split(",") for line in lines)
        paths = [self.root / name for name in sorted(labels)]
        numbers = [int(labels[path.name]) for path in paths]
        names = [f"class {i}" for i in range(10)]
        return _PixelsOnly(paths, numbers, ["all"] * len(paths), names)


class _WithPaths(ImageFiles):
    def fingerprint(self, digest: Digest) -> str:
        return sha256([[str(path), digest(path)] for path in self.paths] + [list(self.labels)])


@stage
class WithPaths:
    """The fingerprint changes when the folder moves."""

    caught_by: ClassVar = "fingerprint is that of a copy"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        return photos(self.root, _WithPaths)


@stage
class LabelsFromOne:
    """Classes are counted from 1, as in the files."""

    caught_by: ClassVar = "lists agree"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        return photos(self.root, labels=[label + 1 for label in photos(self.root).labels])


@stage
class DecodesWhatItLists:
    """It decodes all images when it is listed, to leave out damaged ones."""

    caught_by: ClassVar = "lists without decoding"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        for path in photos(self.root).paths:
            assert np.array(Image.open(path)).size
        return photos(self.root)


class _Noise:
    def __init__(self, size: int, grain: float) -> None:
        self.size, self.grain = size, grain
        self.labels, self.parts, self.class_names = [None] * 10, ["all"] * 10, []

    def __len__(self) -> int:
        return 10

    def image(self, index: int) -> Image.Image:
        noise = np.random.default_rng(index).normal(size=(self.size, self.size, 3)) * self.grain
        return Image.fromarray((127 + 100 * noise.clip(-1, 1)).astype(np.uint8))

    def fingerprint(self, digest: Digest) -> str:
        return f"noise of {self.size} pixels"


@stage
class ForgetsAnOption:
    """The fingerprint of drawings leaves out an option that changes them."""

    caught_by: ClassVar = "fingerprint sees options"
    size: Annotated[int, Field(ge=1)] = 16
    """Height and width in pixels."""
    grain: Annotated[float, Field(ge=0)] = 0.5
    """Deviation of a pixel."""

    def __call__(self) -> _Noise:
        return _Noise(self.size, self.grain)


class _OneAfterTheOther(_Noise):
    def __init__(self, size: int) -> None:
        super().__init__(size, 0.5)
        self.rng = np.random.default_rng(0)

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self.rng.integers(0, 256, (self.size, self.size, 3), np.uint8))


@stage
class OneAfterTheOther:
    """Drawings come from one generator: each depends on what was drawn before it."""

    caught_by: ClassVar = "opens images"
    size: Annotated[int, Field(ge=1)] = 16
    """Height and width in pixels."""

    def __call__(self) -> _OneAfterTheOther:
        return _OneAfterTheOther(self.size)


class _Bag(ImageFiles):
    def fingerprint(self, digest: Digest) -> str:
        return sha256([sorted(map(digest, self.paths)), list(self.labels), list(self.parts)])


@stage
class Bag:
    """Its fingerprint is of the images in any order, and of the labels: not of which is whose."""

    caught_by: ClassVar = "fingerprint sees exchanged labels"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        return photos(self.root, _Bag)


class _Heads(ImageFiles):
    def fingerprint(self, digest: Digest) -> str:
        heads = [hashlib.sha256(path.read_bytes()[:65536]).hexdigest() for path in self.paths]
        return sha256([heads, self.labels, self.parts, self.class_names])


@stage
class Heads:
    """The fingerprint is of the first 64 kB of each file."""

    caught_by: ClassVar = "fingerprint sees a pixel"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        return photos(self.root, _Heads)


class _Nameless(ImageFiles):
    def fingerprint(self, digest: Digest) -> str:
        return sha256([[digest(path) for path in self.paths], self.labels, self.parts])


@stage
class Nameless:
    """The fingerprint leaves out what the classes are called."""

    caught_by: ClassVar = "fingerprint sees a class name"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        return photos(self.root, _Nameless)


class _OneBefore(ImageFiles):
    def image(self, index: int) -> Path:
        return self.paths[index - (index > 2)]


@stage
class OneBefore:
    """From the fourth on each image is the one before, and so one is there twice."""

    caught_by: ClassVar = "lists agree"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        return photos(self.root, _OneBefore)


@stage
class FillsUpDamage:
    """It has Pillow fill up damaged images with grey, everywhere."""

    caught_by: ClassVar = "leaves global settings alone"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        return photos(self.root)


class _OfToday(ImageFiles):
    def fingerprint(self, digest: Digest) -> str:
        return f"{super().fingerprint(digest)} of day {time.time() // 86_400}"


@stage
class OfToday:
    """The fingerprint holds the date."""

    caught_by: ClassVar = "fingerprint is stable"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        return photos(self.root, _OfToday)


class _PaletteAsGrey(ImageFiles):
    def image(self, index: int) -> Image.Image:
        values = np.asarray(Image.open(self.paths[index]))
        return Image.fromarray(values if values.ndim == 3 else np.stack([values] * 3, -1))


@stage
class PaletteAsGrey:
    """It opens files itself, and takes the indices of a palette for greys."""

    caught_by: ClassVar = "decodes as the engine does"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        return photos(self.root, _PaletteAsGrey)


class _LastPicture(ImageFiles):
    kept: ClassVar[dict[str, Any]] = {}

    def image(self, index: int) -> Image.Image:
        path = self.paths[index]
        if self.kept.get("path") != path:
            self.kept["path"] = path
            self.kept["picture"] = Image.open(path).convert("RGB")
        return self.kept["picture"]


@stage
class LastPictureOfAnyThread:
    """The last picture is kept, and another thread takes it for its own."""

    caught_by: ClassVar = "opens images"
    root: Annotated[Path, IOOnly()] = PHOTOS
    """The folder."""

    def __call__(self) -> ImageFiles:
        return photos(self.root, _LastPicture)
