"""Files of noise that ``invert`` found, with what ``reconstruct`` has to know of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeGuard

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..diffusion.model import Choice, Weights
from ..errors import InputError
from ..records import Plain
from ..store.folders import replacing

SUFFIX = ".safetensors"

KEY = "pipeline"
"""Where a file's metadata has what is to be known."""


@dataclass(frozen=True)
class Found:
    """How noise was found: the model, and the way to it."""

    run: str
    model: str
    """The model's key in its run's store."""
    checkpoint: Choice
    weights: Weights
    sampler: Plain
    spacing: Plain
    num_steps: int
    labels: tuple[int, ...] | None
    """The classes of the images, in turn; None: no class."""
    images: tuple[str, ...]


def check_new(out: Path | None, suffix: str) -> Path | None:
    """The path of a new file, ``~`` resolved. InputError if it is there, or named otherwise."""
    if out is None:
        return None
    path = out.expanduser()
    if path.suffix.lower() != suffix:
        raise InputError(f"{path}: should end in {suffix}, such as {path.with_suffix(suffix).name}")
    if path.exists():
        raise InputError(f"{path}: is there already; choose another name, or remove it")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: no such folder")
    return path


def write_noise(path: Path, noise: Tensor, found: Found) -> None:
    """Write the noise (N, C, H, W) and how it was found."""
    content = save({"noise": noise.contiguous()}, {KEY: json.dumps(asdict(found))})
    with replacing(path) as partial:
        partial.write_bytes(content)


def read_noise(path: Path) -> tuple[Tensor, Found]:
    """The noise of a file that ``write_noise`` wrote. InputError for any other."""
    if not path.is_file():
        raise InputError(f"{path}: {'not a file' if path.exists() else 'not there'}")
    try:
        with safe_open(path, "pt") as file:
            told = json.loads((file.metadata() or {})[KEY])
            if not _is_found(told):
                raise KeyError(KEY)
            labels = told["labels"]
            labels, images = None if labels is None else tuple(labels), tuple(told["images"])
            return file.get_tensor("noise"), Found(**{**told, "labels": labels, "images": images})
    except (SafetensorError, KeyError, ValueError):
        raise InputError(f"{path}: is no file of noise that `pipeline invert` wrote") from None


def _is_found(told: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(told, dict) and told.keys() == Found.__annotations__.keys()
