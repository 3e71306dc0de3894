"""Settings of the whole process, which a stage could change for everyone else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import PIL.Image
import PIL.ImageFile
import torch

_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "whether gradients are recorded": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's precision of matrix products": (
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    "torch's deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "whether Pillow opens truncated images": (
        lambda: PIL.ImageFile.LOAD_TRUNCATED_IMAGES,
        lambda value: setattr(PIL.ImageFile, "LOAD_TRUNCATED_IMAGES", value),
    ),
    "how large an image Pillow opens": (
        lambda: PIL.Image.MAX_IMAGE_PIXELS,
        lambda value: setattr(PIL.Image, "MAX_IMAGE_PIXELS", value),
    ),
    "the working directory": (os.getcwd, os.chdir),
}
"""The settings in words, each with the functions that read and write it."""


@contextmanager
def kept_settings() -> Iterator[Callable[[], str]]:
    """Bring back afterwards what was changed; yields a function that names what is other now."""
    before = {name: read() for name, (read, _) in _SETTINGS.items()}

    def changed() -> list[str]:
        return [name for name, (read, _) in _SETTINGS.items() if read() != before[name]]

    try:
        yield lambda: " and ".join(changed())
    finally:
        for name in changed():
            _SETTINGS[name][1](before[name])
