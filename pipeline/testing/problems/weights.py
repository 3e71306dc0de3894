"""Files of weights that a stage's options name, with all the weights of one of them changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...plugin.options import options
from ...plugin.stage import options_of
from ..context import Wrong

T = TypeVar("T")

MOST_FILES, MOST_BYTES = 50, 2 * 10**9
"""Folders of more, and larger files, stay as they are."""
NO_WEIGHTS = "no weights that could be changed"
"""The report of a check that found no file of weights to change."""


def tells_other_weights(stage: T, look: Callable[[T], tuple[object, bool]], what: str) -> set[str]:
    """The options whose weights were changed, with an effect.

    look: what a stage calls itself (its ``what``), and whether it does something else than the
        given one. Raises Wrong where a stage of other weights does, and calls itself the same.
    """
    known, tried = None, set()
    for name, place in _other_weights(stage):
        known = known or look(stage)[0]
        try:
            told, changed = look(type(stage)(**{**options_of(stage), name: place}))
        except Exception:  # it cannot work with the file as it is now
            continue
        if changed and told == known:
            raise Wrong(
                f"with other weights in a file of {name} it does something else, and its {what} is "
                "the same: results of the old weights would be used"
            )
        tried |= {name} if changed else set()
    return tried


def _other_weights(stage: object) -> Iterator[tuple[str, Path]]:
    """(option, path) for each file that an option for places names, or that lies in its folder.

    The path is that of a copy in which the weights are others; it is gone with the next one. Files
    of formats other than torch's, safetensors and numpy's are passed over.
    """
    for name, option in options(type(stage)).items():
        place = getattr(stage, option.field)
        if not option.io_only or not isinstance(place, Path):
            continue
        files = _files(place)
        for file in files:
            with TemporaryDirectory() as folder:
                copy = Path(folder) / place.name / file.relative_to(place)
                copy.parent.mkdir(parents=True, exist_ok=True)
                if _write_changed(file, copy):
                    yield name, _with_the_others(files, place, Path(folder) / place.name)


def _files(place: Path) -> Sequence[Path]:
    """The file, or those of a folder; none where they are too many or too large."""
    files = [place] if place.is_file() else [f for f in _few(place) if f.is_file()]
    size = sum(file.stat().st_size for file in files)
    return files if len(files) <= MOST_FILES and size <= MOST_BYTES else ()


def _few(folder: Path) -> Iterator[Path]:
    """The names in a folder and below it; not many more of them than are taken."""
    for number, (root, _, names) in enumerate(os.walk(folder)):
        if number > MOST_FILES:
            return
        yield from (Path(root) / name for name in sorted(names)[: MOST_FILES + 1])


def _with_the_others(files: Sequence[Path], place: Path, copy: Path) -> Path:
    """The copy, in which links stand for the files that it lacks."""
    for file in files:
        link = copy / file.relative_to(place)
        if not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
    return copy


def _write_changed(file: Path, copy: Path) -> bool:
    """Whether a copy could be written whose weights are others."""

    def by_torch() -> None:
        torch.save(_changed(torch.load(file, map_location="cpu", weights_only=True)), copy)

    def by_safetensors() -> None:
        save_file(_changed(load_file(file)), copy, {"format": "pt"})

    def by_numpy() -> None:
        np.save(copy, _changed(torch.from_numpy(np.load(file))).numpy())

    ways = {".safetensors": by_safetensors, ".npy": by_numpy}
    try:
        ways.get(file.suffix, by_torch)()
    except Exception:  # of another format: what is in it is the stage's secret
        return False
    return True


def _changed(value: Any, factor: float = 1.05) -> Any:
    """A tensor of floats, or each of a nest, times a number that is not the same for its next."""
    if isinstance(value, Mapping):
        return {k: _changed(v, factor + 0.01 * (i % 5)) for i, (k, v) in enumerate(value.items())}
    return value * factor if isinstance(value, Tensor) and value.is_floating_point() else value
