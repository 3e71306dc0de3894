"""Augmentations."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipeline import stage
from pipeline.plugin.draws import Draws
from pipeline_augmentations.horizontal_flip import HorizontalFlip


@stage
class FlipsByGlobalGenerator(HorizontalFlip):
    """It draws from torch's global generator."""

    caught_by: ClassVar = "draws from draws only"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        mirrored = (torch.rand(len(images)) < self.probability).reshape(-1, 1, 1, 1)
        return torch.where(mirrored, images.flip(-1), images)


@stage
class FlipsTheBatch(HorizontalFlip):
    """It mirrors all images of a batch or none, by the draw of the first."""

    caught_by: ClassVar = "keeps images apart"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        chance = draws.uniform(torch.empty(len(images)))
        return images.flip(-1) if chance[0] < self.probability else images


@stage
class FlipsByPlace(HorizontalFlip):
    """It has its own generator: an image's chance goes by its place in the batch."""

    caught_by: ClassVar = "keeps images apart"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        own = torch.Generator().manual_seed(draws.seed + draws.step)
        mirrored = torch.rand(len(images), generator=own) < self.probability
        return torch.where(mirrored.reshape(-1, 1, 1, 1), images.flip(-1), images)


@stage
class FlipsTheSameEveryStep(HorizontalFlip):
    """It draws by seed and row only: an image is mirrored in every step or never."""

    caught_by: ClassVar = "is random"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        fixed = Draws(draws.seed, draws.purpose, draws.rows)
        return super().__call__(images, fixed)


@stage
class FlipsInPlace(HorizontalFlip):
    """It writes into the images it was given, which stay in memory."""

    caught_by: ClassVar = "changes nothing in place"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        mirrored = draws.uniform(torch.empty(len(images))) < self.probability
        images[mirrored] = images[mirrored].flip(-1)
        return images


@stage
class DrawsOnTheCPU(HorizontalFlip):
    """It draws on the CPU and chooses with it among images that may be elsewhere."""

    caught_by: ClassVar = "keeps the device"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        mirrored = draws.uniform(torch.empty(len(images), 1, 1, 1)) < self.probability
        return torch.where(mirrored, images.flip(-1), images)


@stage
class GivesFloats(HorizontalFlip):
    """It gives floats from 0 to 1, which the codec takes for bytes."""

    caught_by: ClassVar = "makes images of images"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        return super().__call__(images, draws) / 255


@stage
class FlipsTheFirst(HorizontalFlip):
    """Images after the first 128 of a batch are never mirrored."""

    caught_by: ClassVar = "keeps images apart"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        return torch.cat([super().__call__(images, draws)[:128], images[128:]])


@stage
class EveryOtherStep(HorizontalFlip):
    """Two steps after each other mirror the same images."""

    caught_by: ClassVar = "is random"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        again = Draws(draws.seed, draws.purpose, draws.rows, draws.step // 2)
        return super().__call__(images, again)


@stage
class ColoursGrey:
    """Its three gains make three channels of one."""

    caught_by: ClassVar = "makes images of images"

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        gains = 0.9 + 0.1 * draws.uniform(torch.empty(len(images), 3, 1, 1))
        return (images * gains).to(torch.uint8)
