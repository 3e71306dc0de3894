"""Cheap stages for ``large.py``, as a plugin file: images and features that take no time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline import Output, Rates, hookimpl, stage


@stage
class Noise:
    """Pictures of noise, each from its number alone."""

    num_images: int = 1000
    size: int = 32

    def __call__(self) -> _Noise:
        """List them."""
        return _Noise(self.num_images, self.size)


class _Noise:
    def __init__(self, num_images: int, size: int) -> None:
        self.size = size
        self.labels = [i % 8 for i in range(num_images)]
        self.parts = ["all"] * num_images
        self.class_names = [str(i) for i in range(8)]

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> Image.Image:
        pixels = np.random.default_rng(index).bytes(self.size * self.size * 3)
        return Image.frombytes("RGB", (self.size, self.size), pixels)

    def fingerprint(self, digest: Callable[[Path], str]) -> str:
        return f"{len(self)} of {self.size}"


@stage
class Patches:
    """64 features without a network: the mean brightness of 8×8 patches."""

    def __call__(self) -> _Patches:
        """Nothing is loaded."""
        return _Patches()


class _Patches:
    dim, id = 64, "patches"
    output: Output = "features"

    def to(self, device: str) -> _Patches:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        grey = images.float().mean(1, keepdim=True) / 255
        return torch.nn.functional.adaptive_avg_pool2d(grey, 8).flatten(1)


@stage
class Narrow:
    """A backbone of two layers, for a test that has no time to learn."""

    def __call__(self, shape: tuple[int, int, int], num_classes: int | None) -> nn.Module:
        """For images of this shape."""
        return _Narrow(shape[0] * shape[1] * shape[2])


class _Narrow(nn.Module):
    def __init__(self, pixels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(pixels, 8), nn.SiLU(), nn.Linear(8, pixels))

    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        return self.layers(x.flatten(1)).reshape(x.shape)


@hookimpl
def register_backbones() -> Mapping[str, type]:
    """By name."""
    return {"narrow": Narrow}


@hookimpl
def register_datasets() -> Mapping[str, type]:
    """By name."""
    return {"noise": Noise}


@hookimpl
def register_features() -> Mapping[str, type]:
    """By name."""
    return {"patches": Patches}
