"""Files of weights that a stage's options name, with something changed in one of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ...plugin.options import options

REWEIGHTED = 1.05
"""What the largest tensor of a file that torch can read is multiplied by."""
PLAIN = (".npy", ".safetensors", ".bin", ".raw")
"""Ends of names of files whose last byte is one of a weight's, and has its exponent."""
MOST_FILES = 20
"""In a folder with more files the others stay as they are."""


def other_weights(stage: object, folder: Path) -> Iterator[tuple[str, Path]]:
    """(option, path) for each file that an option for places names, or that lies in its folder.

    The path is that of a copy with changed weights; files of unknown formats are passed over.
    """
    for name, option in options(type(stage)).items():
        place = getattr(stage, option.field)
        if not option.io_only or not isinstance(place, Path):
            continue
        if place.is_file():
            copy = folder / f"{option.field}{place.suffix}"
            shutil.copyfile(place, copy)
            if _changed(copy):
                yield name, copy
        elif place.is_dir():
            files = sorted(file for file in place.rglob("*") if file.is_file())
            for number, file in enumerate(files[:MOST_FILES]):
                whole = folder / f"{option.field}-{number}"
                shutil.copytree(place, whole)
                if _changed(whole / file.relative_to(place)):
                    yield name, whole


def _changed(file: Path) -> bool:
    """Whether some of the file's weights are others now."""
    if file.suffix in PLAIN:
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
        return True
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        weights = max(
            (v for v in state.values() if isinstance(v, Tensor) and v.is_floating_point()),
            key=Tensor.numel,
        )
    except Exception:  # of another format: what is in it is the stage's secret
        return False
    weights.mul_(REWEIGHTED)
    torch.save(state, file)
    return True
