"""Preprocessors, codecs and augmentations with one bug each: the docstring says which.

``caught_by`` is the check of the conformance kit that has to fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pipeline import stage
from pipeline.draws import Draws
from pipeline_augmentations.horizontal_flip import HorizontalFlip
from pipeline_codecs.pixels import Pixels


@stage
class BrightensInPlace:
    """A preprocessor that works on the image it was given."""

    kind: ClassVar[str] = "preprocessor"
    caught_by: ClassVar[str] = "inputs unchanged"
    gain: Annotated[float, Field(gt=0, le=1)] = 0.9
    """What every pixel is multiplied by."""

    def __call__(self, image: Tensor) -> Tensor:
        return image.mul_(self.gain)


@stage
class DividesByContrast:
    """A preprocessor that stretches contrast, and divides by zero for a picture of one colour."""

    kind: ClassVar[str] = "preprocessor"
    caught_by: ClassVar[str] = "images in images out"

    def __call__(self, image: Tensor) -> Tensor:
        low, high = image.amin(), image.amax()
        return (image - low) / (high - low)


@stage
class GivesBytes:
    """A preprocessor that gives values from 0 to 255."""

    kind: ClassVar[str] = "preprocessor"
    caught_by: ClassVar[str] = "images in images out"

    def __call__(self, image: Tensor) -> Tensor:
        return image.flip(-1) * 255


@stage
class CropsAnywhere:
    """A preprocessor that crops at a random place, though its work is kept for ever."""

    kind: ClassVar[str] = "preprocessor"
    caught_by: ClassVar[str] = "each by itself"

    def __call__(self, image: Tensor) -> Tensor:
        top, left = (int(torch.randint(n - 7, ())) for n in image.shape[-2:])
        return image[..., top : top + 8, left : left + 8]


@stage
class LevelsToTheFirst:
    """A preprocessor that brings every image to the brightness of the first one it saw."""

    kind: ClassVar[str] = "preprocessor"
    caught_by: ClassVar[str] = "each by itself"
    first: ClassVar[list[float]] = []

    def __call__(self, image: Tensor) -> Tensor:
        if not self.first or self.first[0] > float(image.mean()) > 0.2:
            self.first[:] = [float(image.mean())]
        return (image - image.mean() + self.first[0]).clamp(0, 1)


@stage
class WrongInverse(Pixels):
    """A codec whose decoder adds the mean before it multiplies by the deviation."""

    kind: ClassVar[str] = "codec"
    caught_by: ClassVar[str] = "round trip"

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        mean, std = (state[name][:, None, None] for name in ("mean", "std"))
        return (((x0 + mean) * std).clamp(0, 1) * 255).round().to(torch.uint8)


@stage
class CutsOff(Pixels):
    """A codec whose decoder cuts fractions off instead of rounding."""

    kind: ClassVar[str] = "codec"
    caught_by: ClassVar[str] = "round trip"

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        pixels = x0 * state["std"][:, None, None] + state["mean"][:, None, None]
        return (pixels.clamp(0, 1) * 255).to(torch.uint8)


@stage
class WrapsAround(Pixels):
    """A codec whose decoder does not clip: beyond white uint8 starts again at black."""

    kind: ClassVar[str] = "codec"
    caught_by: ClassVar[str] = "decode clips"

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        pixels = x0 * state["std"][:, None, None] + state["mean"][:, None, None]
        return (pixels * 255).round().to(torch.int64).to(torch.uint8)


@stage
class KeepsItsMean(Pixels):
    """A codec that keeps the mean on itself: a model that is loaded again has none."""

    kind: ClassVar[str] = "codec"
    caught_by: ClassVar[str] = "state is enough"

    def fit(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        state = super(KeepsItsMean, self).fit(batches)
        object.__setattr__(self, "_mean", state.pop("mean"))
        return state

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        return super(KeepsItsMean, self).encode(images, {**state, "mean": vars(self)["_mean"]})

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        return super(KeepsItsMean, self).decode(x0, {**state, "mean": vars(self)["_mean"]})


@stage
class MeanOfMeans(Pixels):
    """A codec that averages its batches' means, the smaller last batch like the others."""

    kind: ClassVar[str] = "codec"
    caught_by: ClassVar[str] = "fits any batches"

    def fit(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        means = [batch.float().mean((0, 2, 3)) / 255 for batch in batches]
        mean = torch.stack(means).mean(0)
        return {"mean": mean, "std": torch.full_like(mean, 0.25)}


@stage
class DividesByDeviation(Pixels):
    """A codec that divides by a deviation of 0 where a channel is all of one value."""

    kind: ClassVar[str] = "codec"
    caught_by: ClassVar[str] = "constant channels"

    def fit(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        pixels = torch.cat([*batches]).double() / 255
        mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), correction=0)
        return {"mean": mean.float(), "std": std.float()}


@stage
class NormalisesBatches(Pixels):
    """A codec that subtracts the mean of the batch it encodes."""

    kind: ClassVar[str] = "codec"
    caught_by: ClassVar[str] = "encodes to float32"

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        x0 = super(NormalisesBatches, self).encode(images, state)
        return x0 - x0.mean((0, 2, 3), keepdim=True)


@stage
class FlipsByGlobalGenerator(HorizontalFlip):
    """An augmentation that draws from torch's global generator."""

    kind: ClassVar[str] = "augmentation"
    caught_by: ClassVar[str] = "randomness from draws"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        mirrored = (torch.rand(len(images)) < self.probability).reshape(-1, 1, 1, 1)
        return torch.where(mirrored, images.flip(-1), images)


@stage
class FlipsTheBatch(HorizontalFlip):
    """An augmentation that mirrors all images of a batch or none, by the draw of the first."""

    kind: ClassVar[str] = "augmentation"
    caught_by: ClassVar[str] = "each row by itself"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        chance = draws.uniform(torch.empty(len(images)))
        return images.flip(-1) if chance[0] < self.probability else images


@stage
class FlipsByPlace(HorizontalFlip):
    """An augmentation with its own generator: an image's chance goes by its place in the batch."""

    kind: ClassVar[str] = "augmentation"
    caught_by: ClassVar[str] = "each row by itself"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        own = torch.Generator().manual_seed(draws.seed + draws.step)
        mirrored = torch.rand(len(images), generator=own) < self.probability
        return torch.where(mirrored.reshape(-1, 1, 1, 1), images.flip(-1), images)


@stage
class FlipsTheSameEveryStep(HorizontalFlip):
    """An augmentation seeded by seed and row only: an image is mirrored in every step or never."""

    kind: ClassVar[str] = "augmentation"
    caught_by: ClassVar[str] = "random at all"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        fixed = Draws(draws.seed, draws.purpose, draws.rows)
        return super(FlipsTheSameEveryStep, self).__call__(images, fixed)


@stage
class FlipsInPlace(HorizontalFlip):
    """An augmentation that writes into the images it was given, which stay in memory."""

    kind: ClassVar[str] = "augmentation"
    caught_by: ClassVar[str] = "inputs unchanged"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        mirrored = draws.uniform(torch.empty(len(images))) < self.probability
        images[mirrored] = images[mirrored].flip(-1)
        return images
