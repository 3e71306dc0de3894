"""Cheap stages for tests of whole runs, as a plugin file."""

from __future__ import annotations

import ctypes
import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn

from pipeline import (
    Denoise,
    Draws,
    IOOnly,
    Network,
    Output,
    Prediction,
    Rates,
    Schedule,
    Score,
    hookimpl,
    stage,
)
from pipeline_objectives.denoising import Denoising


@stage
class Projection:
    """Features without a network: a fixed random projection of the pixels."""

    weights: Annotated[Path | None, IOOnly()] = None
    """The projection is drawn from this file's bytes."""

    def __call__(self) -> _Projector:
        """Read the weights."""
        content = self.weights.read_bytes() if self.weights else b""
        return _Projector(hashlib.sha256(content).hexdigest()[:12])


class _Projector:
    dim = 16
    output: Output = "features"

    def __init__(self, digest: str) -> None:
        self.digest, self.id = digest, f"projection/{digest}"

    def to(self, device: str) -> _Projector:
        return self

    def __call__(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1).float() / 255
        drawn = torch.Generator().manual_seed(int(self.digest, 16))
        return pixels @ torch.randn(len(pixels.T), self.dim, generator=drawn) / len(pixels.T) ** 0.5


@stage
class Trip:
    """An augmentation that changes nothing; in one step it sends its own process a signal."""

    step: Annotated[int, IOOnly()] = -1
    """After so many steps; -1: never."""
    signal: Annotated[int, IOOnly()] = 15
    """Its number."""

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """The same images, if the process lives."""
        if draws.step == self.step:
            os.kill(os.getpid(), self.signal)
        return images


@stage
class Loud:
    """A sampler of one step that writes to stdout by every way there is."""

    signal: Annotated[int, IOOnly()] = 0
    """Sent to its own process; 0: none."""

    order: ClassVar[None] = None

    def nfe(self, num_steps: int) -> int:
        """One, whatever is asked."""
        return 1

    def __call__(
        self, denoise: Denoise, x: Tensor, levels: Sequence[Rates[float]], draws: Draws
    ) -> Tensor:
        """The first x0."""
        print("printed by a stage")
        os.write(1, b"written by a library\n")
        ctypes.CDLL(None).printf(b"buffered by a library\n")
        if self.signal and len(x) > 1:  # not when the engine tries one image first
            os.kill(os.getpid(), self.signal)
        return denoise(x, levels[0]).x0


@stage
class Dense:
    """A backbone of two layers that learns its few training images by heart in a second."""

    width: int = 256
    """Of the hidden layer."""

    def __call__(self, shape: tuple[int, int, int], num_classes: int | None) -> nn.Module:
        """For images of this shape; it knows no classes."""
        return _Dense(shape[0] * shape[1] * shape[2], self.width)


class _Dense(nn.Module):
    def __init__(self, pixels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(pixels + 2, width), nn.ReLU(), nn.Linear(width, pixels)
        )

    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        seen = [x.flatten(1), *(rate.reshape(len(x), 1) for rate in rates)]
        return self.layers(torch.cat(seen, 1)).reshape(x.shape)


@stage
class Slow:
    """An augmentation that changes nothing and takes its time."""

    seconds: Annotated[float, IOOnly()] = 0.2
    """A batch."""

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """The same images, later."""
        time.sleep(self.seconds)
        return images


@stage
class Watching:
    """The shipped denoising objective, with more losses to watch, called as the recipe says."""

    losses: tuple[str, ...] = ("steps", "highest")
    """The first is the number of the batch, from 1; the others are as much below 0."""

    def loss(
        self,
        network: Network,
        x0: Tensor,
        label: Tensor | None,
        schedule: Schedule,
        draws: Draws,
    ) -> dict[str, Tensor]:
        """Those of ``denoising`` first."""
        number = torch.tensor(float(draws.step + (draws.purpose == "train")))
        first, *others = self.losses
        usual = Denoising().loss(network, x0, label, schedule, draws)
        return {**usual, first: number, **dict.fromkeys(others, -number)}

    def predict(
        self,
        network: Network,
        x: Tensor,
        rates: Rates[float] | Rates[Tensor],
        label: Tensor | None,
    ) -> Prediction:
        """As ``denoising``."""
        return Denoising().predict(network, x, rates, label)


@stage
class Spread:
    """A metric that looks at the samples alone: how far their features are spread."""

    higher_is_better: ClassVar[bool] = True
    ideal: ClassVar[None] = None
    biased: ClassVar[bool] = False
    needs: ClassVar[None] = None
    features: ClassVar[None] = None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        """The standard deviation of all numbers."""
        return Score(float(fake.std()), protocol={"metric": "spread"})


@stage
class Step(Spread):
    """The same under another name."""


@hookimpl
def register_backbones() -> Mapping[str, type]:
    """By name."""
    return {"dense": Dense}


@hookimpl
def register_features() -> Mapping[str, type]:
    """By name."""
    return {"projection": Projection}


@hookimpl
def register_objectives() -> Mapping[str, type]:
    """By name."""
    return {"watching": Watching}


@hookimpl
def register_metrics() -> Mapping[str, type]:
    """By names that the engine has for something else."""
    return {"model": Spread, "step": Step}


@hookimpl
def register_augmentations() -> Mapping[str, type]:
    """By name."""
    return {"trip": Trip, "slow": Slow}


@hookimpl
def register_samplers() -> Mapping[str, type]:
    """By name."""
    return {"loud": Loud}
