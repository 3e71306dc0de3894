"""Datasets of Hugging Face: Lhoest et al. 2021, https://arxiv.org/abs/2109.02846."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, ClassVar

from PIL import Image
from pydantic import Field

from pipeline import InputError, IOOnly, OptionSets, open_rgb, stage

from .files import content_of

_SAVED = ("dataset_dict.json", "state.json")
"""Files of which every folder that ``save_to_disk`` wrote has one."""


@stage
class HF:
    """A dataset of the Hugging Face hub, or a folder that ``save_to_disk`` wrote, without network.

    Each split is an official part. What is kept depends on images and labels alone: a set from the
    hub and a saved copy of it are the same. Needs the extra ``hf``.
    """

    path: Annotated[str, Field(min_length=1), IOOnly()]
    """A folder, or a name on the hub such as ``uoft-cs/cifar10``."""
    config: Annotated[str | None, IOOnly()] = None
    """Which of a hub dataset's configurations; none: its default."""
    split: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """A split, or several in this order; none: all. From the hub also a part: ``train[:10%]``."""
    image_column: str = "image"
    """The column of images."""
    label_column: str | None = None
    """A column of classes: class labels, whole numbers or text; none: ``label``, where all splits
    have it, else there are no classes. Class labels keep names and order, others are sorted."""

    examples: ClassVar[OptionSets] = (
        {"path": "photos", "split": "test"},
        {"path": "photos", "split": ["test", "train"]},
        {"path": "photos", "image_column": "thumbnail", "label_column": "species"},
    )

    def __call__(self) -> HFImages:
        """List the images. Raises InputError for what is not there; decodes nothing."""
        try:
            import datasets
        except ImportError as error:
            raise InputError(
                f"dataset hf needs the package {error.name}: pip install 'diffusion-pipeline[hf]'"
            ) from error
        splits = self._splits(datasets)
        for name, split in splits.items():
            kind = split.features[self._column(split, self.image_column, "image_column")]
            if not isinstance(kind, datasets.Image):
                raise InputError(
                    f"{self._at(name)}: column {self.image_column!r} holds {kind}, not images; "
                    f"{_there(split)}. Set dataset.image_column, or cast it to datasets.Image"
                )
        labels, class_names = self._labels(datasets, splits)
        column, stored = self.image_column, datasets.Image(decode=False)
        return HFImages(
            path=self.path,
            splits={
                name: split.select_columns([column]).cast_column(column, stored)
                for name, split in splits.items()
            },
            column=column,
            labels=labels,
            class_names=class_names,
        )

    def _splits(self, datasets: Any) -> dict[str, Any]:
        """The wanted splits by name, as Python objects whatever format they are saved with."""
        wanted = [self.split] if isinstance(self.split, str) else self.split
        folder = Path(self.path).expanduser()
        if any((folder / name).is_file() for name in _SAVED):
            splits = self._saved(datasets, folder, wanted)
        elif folder.is_dir() or not _is_place(self.path):
            splits = self._loaded(datasets, str(folder) if folder.is_dir() else self.path, wanted)
        else:
            what = "is a file" if folder.exists() else "no such folder"
            raise InputError(
                f"{self.path}: {what}; dataset.path names a folder, or a dataset of the hub"
            )
        if not splits:
            raise InputError(f"{self.path}: there are no splits in it")
        return {name: split.with_format(None) for name, split in splits.items()}

    def _saved(self, datasets: Any, folder: Path, wanted: Sequence[str] | None) -> dict[str, Any]:
        if self.config is not None:
            raise InputError(f"dataset.config: {folder} is one dataset; leave config out")
        try:
            splits = datasets.load_from_disk(str(folder))
        except Exception as error:  # of Arrow, of the disk, of JSON
            raise InputError(f"{folder}: cannot be read: {_reason(error)}") from error
        if isinstance(splits, datasets.Dataset):
            splits = {str(splits.split or "all"): splits}
        for name in wanted or ():
            if name not in splits:
                raise InputError(
                    f"{folder}: no split is called {name!r}. There are: {', '.join(splits)}"
                )
        return {name: splits[name] for name in wanted or splits}

    def _loaded(self, datasets: Any, path: str, wanted: Sequence[str] | None) -> dict[str, Any]:
        try:
            if wanted is None:
                return dict(datasets.load_dataset(path, self.config))
            return {name: datasets.load_dataset(path, self.config, split=name) for name in wanted}
        except Exception as error:  # of the network, the hub, a builder or a file
            advice = "; without network, set dataset.path to a folder that save_to_disk wrote"
            raise InputError(
                f"dataset {path!r} cannot be had: {_reason(error)}"
                f"{advice if isinstance(error, OSError) else ''}"
            ) from error

    def _at(self, split: str) -> str:
        return f"{self.path}, split {split}"

    def _column(self, split: Any, name: str, option: str) -> str:
        if name not in split.features:
            raise InputError(
                f"{self.path}: no column is called {name!r}; {_there(split)}. Set dataset.{option}"
            )
        return name

    def _labels(
        self, datasets: Any, splits: Mapping[str, Any]
    ) -> tuple[list[int | None], list[str]]:
        """A class or none for each image of all splits, and the names of the classes."""
        name = self.label_column
        if name is None:
            if not all("label" in split.features for split in splits.values()):
                return [None] * sum(map(len, splits.values())), []
            name = "label"
        kinds, values = [], []
        for at, split in splits.items():
            kinds.append(split.features[self._column(split, name, "label_column")])
            self._refuse_other(datasets, name, at, kinds[-1])
            column = split.select_columns([name]).with_format("arrow")[:][name]
            values += column.to_pylist()
        if any(kind != kinds[0] for kind in kinds):
            raise InputError(
                f"{self.path}: column {name!r} is not the same in all splits; choose one with split"
            )
        if isinstance(kinds[0], datasets.ClassLabel):
            # -1 stands for a label that is withheld, as in test sets of competitions.
            return [None if value in (None, -1) else value for value in values], kinds[0].names
        classes = sorted({value for value in values if value is not None})
        index = {value: label for label, value in enumerate(classes)}
        return [index.get(value) for value in values], [str(value) for value in classes]

    def _refuse_other(self, datasets: Any, name: str, at: str, kind: Any) -> None:
        dtype = getattr(kind, "dtype", None) if isinstance(kind, datasets.Value) else None
        if isinstance(kind, datasets.ClassLabel) or str(dtype).startswith(("int", "uint")):
            return
        if dtype not in ("string", "large_string", "bool"):
            raise InputError(
                f"{self._at(at)}: column {name!r} holds {kind}: dataset.label_column should be "
                "class labels, whole numbers or text"
            )


@dataclass(frozen=True)
class HFImages:
    """A source of images that are stored, encoded, in Arrow tables."""

    path: str
    splits: Mapping[str, Any]
    """``datasets.Dataset`` of one column, with its images not decoded, by name."""
    column: str
    labels: Sequence[int | None]
    class_names: Sequence[str]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def parts(self) -> list[str]:
        """The split of each image."""
        return [name for name, split in self.splits.items() for _ in range(len(split))]

    def image(self, index: int) -> Path | Image.Image:
        """Image ``index``, decoded anew each time; its Path where only that is stored.

        Raises InputError for a row without an image and for what cannot be decoded.
        """
        name, row = self._place(index)
        stored = self.splits[name][row][self.column]
        at = f"{self.path}, {name}[{row}]"
        if stored is None:
            raise InputError(f"{at}: there is no image in this row")
        if stored["bytes"] is None:
            return Path(stored["path"])
        try:
            with Image.open(BytesIO(stored["bytes"])) as picture:
                return open_rgb(picture)
        except Exception as error:  # Pillow's decoders raise whatever the damage leads them to
            reason = _reason(error).partition(" <_io.BytesIO")[0]  # what Pillow calls the file
            raise InputError(f"{at}: {reason}") from error

    def fingerprint(self, digest: Callable[[Path], str]) -> str:
        """A digest of encoded images, labels, splits and class names, in order; not of paths."""
        contents = [
            _content(row[self.column], digest) for split in self.splits.values() for row in split
        ]
        known = [contents, list(self.labels), self.parts, list(self.class_names)]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()

    def _place(self, index: int) -> tuple[str, int]:
        row = index
        for name, split in self.splits.items():
            if row < len(split):
                return name, row
            row -= len(split)
        raise IndexError(index)


def _content(stored: Mapping[str, Any] | None, digest: Callable[[Path], str]) -> str | None:
    """The digest of a file's bytes, wherever they are; None for a row without an image."""
    if stored is None:
        return None
    if stored["bytes"] is not None:
        return hashlib.sha256(stored["bytes"]).hexdigest()
    return content_of(Path(stored["path"]), digest)


def _is_place(path: str) -> bool:
    """Whether a path cannot be a name on the hub, which is ``name`` or ``owner/name``."""
    return path.startswith((".", "~", os.sep)) or path.count("/") > 1 or Path(path).exists()


def _there(split: Any) -> str:
    return "there are: " + ", ".join(f"{n} ({type(k).__name__})" for n, k in split.features.items())


def _reason(error: BaseException) -> str:
    """An exception in one line; the library's may have many."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
