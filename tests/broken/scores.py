"""Features and metrics with one bug each: the docstring says which.

``caught_by`` is the check of the conformance kit that has to fail.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline import InputError, IOOnly, Score, stage


class _Extractor:
    """A small fixed network on resized images."""

    def __init__(self, image_size: int, identity: str, seed: int = 0) -> None:
        self.dim, self.id, self.size = 8, identity, image_size
        draw = torch.Generator().manual_seed(seed)
        self.weights = torch.randn(3 * image_size**2, 8, generator=draw) / image_size

    def to(self, device: str) -> _Extractor:
        self.weights = self.weights.to(device)
        return self

    def project(self, images: Tensor) -> Tensor:
        x = images.float() / 127.5 - 1
        return nn.functional.interpolate(x, (self.size, self.size)).flatten(1) @ self.weights

    def __call__(self, images: Tensor) -> Tensor:
        return self.project(images)


class _Half(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        return self.project(images).half()


@stage
class HalfPrecision:
    """Features in float16, as the network made them."""

    kind: ClassVar[str] = "features"
    caught_by: ClassVar[str] = "vectors"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Of the resized images."""

    def __call__(self) -> _Extractor:
        return _Half(self.image_size, f"half/{self.image_size}")


class _Learning(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        return self.project(images) * torch.ones(8, requires_grad=True)


@stage
class WithGradients:
    """Features that drag the network's graph along."""

    kind: ClassVar[str] = "features"
    caught_by: ClassVar[str] = "vectors"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Of the resized images."""

    def __call__(self) -> _Extractor:
        return _Learning(self.image_size, f"learning/{self.image_size}")


class _Normalising(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = nn.BatchNorm1d(8).train()(self.project(images))
        return found


@stage
class BatchStatistics:
    """Features of a network in training mode: batch norm takes the statistics of the batch."""

    kind: ClassVar[str] = "features"
    caught_by: ClassVar[str] = "each image by itself"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Of the resized images."""

    def __call__(self) -> _Extractor:
        return _Normalising(self.image_size, f"normalising/{self.image_size}")


class _Running(_Extractor):
    def __init__(self, image_size: int, identity: str) -> None:
        super().__init__(image_size, identity)
        self.mean = torch.zeros(8)

    def __call__(self, images: Tensor) -> Tensor:
        found = self.project(images)
        self.mean = self.mean + 0.1 * (found.mean(0) - self.mean)
        return found - self.mean


@stage
class RunningStatistics:
    """Features that subtract a running mean, which every batch moves on."""

    kind: ClassVar[str] = "features"
    caught_by: ClassVar[str] = "same every time"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Of the resized images."""

    def __call__(self) -> _Extractor:
        return _Running(self.image_size, f"running/{self.image_size}")


@stage
class SameIdForEverySize:
    """Features whose id does not say to which size images are resized."""

    kind: ClassVar[str] = "features"
    caught_by: ClassVar[str] = "identity"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Of the resized images."""

    def __call__(self) -> _Extractor:
        return _Extractor(self.image_size, "small")


@stage
class IdOfAnAddress:
    """Features whose id holds an object's text, and so its address."""

    kind: ClassVar[str] = "features"
    caught_by: ClassVar[str] = "identity"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Of the resized images."""

    def __call__(self) -> _Extractor:
        made = _Extractor(self.image_size, "")
        made.id = f"{object()!r}/{hash('small')}/{self.image_size}"
        return made


@stage
class SameIdForAllWeights:
    """Features whose id is the name of the architecture, whatever weights were loaded."""

    kind: ClassVar[str] = "features"
    caught_by: ClassVar[str] = "identity of weights"
    weights: Annotated[Path | None, IOOnly()] = None
    """A .pth file with the tensor ``weights`` (768, 8)."""

    def __call__(self) -> _Extractor:
        made = _Extractor(16, "small/16")
        if self.weights:
            made.weights = torch.load(self.weights, weights_only=True)["weights"]
        return made


@stage
class RandomWeights:
    """Features of a network whose weights are drawn when it is built."""

    kind: ClassVar[str] = "features"
    caught_by: ClassVar[str] = "same every time"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Of the resized images."""

    def __call__(self) -> _Extractor:
        return _Extractor(self.image_size, f"random/{self.image_size}", int(torch.randint(999, ())))


def _check(real: Tensor, fake: Tensor) -> None:
    for x in (real, fake):
        if len(x) < 2 or not x.isfinite().all():
            raise InputError("needs the features of 2 images, all finite")


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x.double() @ y.double().T / x.shape[1] + 1) ** 3


def _off_diagonal(kernel: Tensor) -> Tensor:
    return (kernel.sum() - kernel.trace()) / (len(kernel) * (len(kernel) - 1))


def _mmd2(real: Tensor, fake: Tensor) -> float:
    own = _off_diagonal(_kernel(real, real)) + _off_diagonal(_kernel(fake, fake))
    return float(own - 2 * _kernel(real, fake).mean())


@stage
class KeepsTheDiagonal:
    """A KID declared unbiased that counts each image's pair with itself."""

    kind: ClassVar[str] = "metric"
    caught_by: ClassVar[str] = "ideal for equal distributions"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        own = _kernel(real, real).mean() + _kernel(fake, fake).mean()
        return Score(float(own - 2 * _kernel(real, fake).mean()), None, {"metric": "kid"})


@stage
class DividesByAllPairs:
    """A KID without its diagonal that still divides by N² instead of N(N - 1)."""

    kind: ClassVar[str] = "metric"
    caught_by: ClassVar[str] = "ideal for equal distributions"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        own = sum(_off_diagonal(_kernel(x, x)) * (1 - 1 / len(x)) for x in (real, fake))
        return Score(float(own - 2 * _kernel(real, fake).mean()), None, {"metric": "kid"})


@stage
class PairsImagesInOrder:
    """A linear-time KID that pairs each image with its neighbour, though images come sorted."""

    kind: ClassVar[str] = "metric"
    caught_by: ClassVar[str] = "any order"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        count = min(len(real), len(fake)) // 2 * 2
        x, y = real[:count].double(), fake[:count].double()

        def pairs(a: Tensor, b: Tensor) -> Tensor:
            return ((a * b).sum(1) / a.shape[1] + 1) ** 3

        own = pairs(x[::2], x[1::2]) + pairs(y[::2], y[1::2])
        across = pairs(x[::2], y[1::2]) + pairs(x[1::2], y[::2])
        return Score(float((own - across).mean()), None, {"metric": "kid"})


@stage
class ErrorOfOneBatch:
    """A KID as the mean over batches whose standard error is that of one batch, √count too large."""

    kind: ClassVar[str] = "metric"
    caught_by: ClassVar[str] = "standard error"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        order = torch.Generator().manual_seed(0)
        x, y = (z[torch.randperm(len(z), generator=order)].split(8) for z in (real, fake))
        pairs = [(a, b) for a, b in zip(x, y, strict=False) if len(a) == len(b) == 8]
        if not pairs:
            raise InputError("needs batches of 8 images")
        values = torch.tensor([_mmd2(a, b) for a, b in pairs])
        error = float(values.std()) if len(values) > 1 else None
        return Score(float(values.mean()), error, {"metric": "kid"})


@stage
class WrongWay:
    """A similarity, 1 for equal images, that declares lower to be better."""

    kind: ClassVar[str] = "metric"
    caught_by: ClassVar[str] = "moves away with distance"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 1.0
    biased: ClassVar[bool] = True

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        gap = float((real.double().mean(0) - fake.double().mean(0)).norm())
        return Score(math.exp(-gap), None, {"metric": "similarity"})


@stage
class MissesNaN:
    """A metric that leaves out features that are NaN, and says nothing."""

    kind: ClassVar[str] = "metric"
    caught_by: ClassVar[str] = "unusable features"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = True

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        if not len(real) or not len(fake):
            raise InputError("needs images")
        gap = real.double().nanmean(0) - fake.double().nanmean(0)
        return Score(float(gap.norm()), None, {"metric": "means"})


@stage
class CentresInPlace:
    """A metric that centres the features it was given, which the next metric uses too."""

    kind: ClassVar[str] = "metric"
    caught_by: ClassVar[str] = "inputs unchanged"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = False

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        mean = real.mean(0)
        real -= mean
        fake -= mean
        return Score(_mmd2(real, fake), None, {"metric": "kid"})


@stage
class TensorForAValue:
    """A metric whose value is a tensor, which no JSON holds."""

    kind: ClassVar[str] = "metric"
    caught_by: ClassVar[str] = "scores"
    higher_is_better: ClassVar[bool] = False
    ideal: ClassVar[float] = 0.0
    biased: ClassVar[bool] = True

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        _check(real, fake)
        gap = real.mean(0) - fake.mean(0)
        return Score(gap.norm(), None, {"metric": "means"})  # type: ignore[arg-type]
