"""Files of weights that a stage's options name, with all the weights of one of them changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...plugin.options import options

MOST_FILES, MOST_BYTES = 50, 2 * 10**9
"""Folders of more, and larger files, stay as they are."""
NO_WEIGHTS = "no weights that could be changed"
"""What a check says that tried none."""


def other_weights(stage: object) -> Iterator[tuple[str, Path]]:
    """(option, path) for each file that an option for places names, or that lies in its folder.

    The path is that of a copy in which the weights are others; it is gone with the next one. Files
    of formats other than torch's, safetensors and numpy's are passed over.
    """
    for name, option in options(type(stage)).items():
        place = getattr(stage, option.field)
        if not option.io_only or not isinstance(place, Path):
            continue
        for file in _files(place):
            with TemporaryDirectory() as folder:
                copy = Path(folder) / place.name / file.relative_to(place)
                copy.parent.mkdir(parents=True, exist_ok=True)
                if _write_changed(file, copy):
                    yield name, _with_the_others(place, Path(folder) / place.name)


def _files(place: Path) -> Sequence[Path]:
    """The file, or those of a folder; none where they are too many or too large."""
    files = [place] if place.is_file() else [f for f in _few(place) if f.is_file()]
    size = sum(file.stat().st_size for file in files)
    return files if len(files) <= MOST_FILES and size <= MOST_BYTES else ()


def _few(folder: Path) -> Iterator[Path]:
    """What lies in a folder and below, up to a little more than is taken."""
    for number, (root, _, names) in enumerate(os.walk(folder)):
        if number > MOST_FILES:
            return
        yield from (Path(root) / name for name in sorted(names)[: MOST_FILES + 1])


def _with_the_others(place: Path, copy: Path) -> Path:
    """The copy, where what it lacks of a folder is linked."""
    for file in _files(place) if place.is_dir() else ():
        link = copy / file.relative_to(place)
        if not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
    return copy


def _write_changed(file: Path, copy: Path) -> bool:
    """Whether a copy was written in which every weight is another."""
    changed = iter(range(10**9))

    def other(value: object) -> object:
        if isinstance(value, Mapping):
            return {key: other(inner) for key, inner in value.items()}
        if isinstance(value, Tensor) and value.is_floating_point():
            return value * (1.05 + 0.01 * (next(changed) % 5))
        return value

    def by_torch() -> None:
        torch.save(other(torch.load(file, map_location="cpu", weights_only=True)), copy)

    def by_safetensors() -> None:
        save_file({k: v * 1.05 for k, v in load_file(file).items()}, copy, {"format": "pt"})

    def by_numpy() -> None:
        weights = np.load(file)
        if weights.dtype.kind != "f":
            raise ValueError
        np.save(copy, weights * weights.dtype.type(1.05))

    ways: dict[str, Callable[[], None]] = {".safetensors": by_safetensors, ".npy": by_numpy}
    with suppress(Exception):  # of another format: what is in it is the stage's secret
        ways.get(file.suffix, by_torch)()
        return file.suffix in ways or bool(next(changed))
    return False
