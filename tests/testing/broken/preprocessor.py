"""Preprocessors."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pipeline import stage
from pipeline_preprocessors.center_crop import CenterCrop


@stage
class BrightensInPlace:
    """It works on the image that it was given."""

    caught_by: ClassVar = "changes nothing in place"
    gain: Annotated[float, Field(gt=0, le=1)] = 0.9
    """What every pixel is multiplied by."""

    def __call__(self, image: Tensor) -> Tensor:
        return image.mul_(self.gain)


@stage
class DividesByContrast:
    """It stretches contrast, and divides by zero for a picture of one colour."""

    caught_by: ClassVar = "makes images of images"

    def __call__(self, image: Tensor) -> Tensor:
        low, high = image.amin(), image.amax()
        return (image - low) / (high - low)


@stage
class GivesBytes:
    """It gives values from 0 to 255."""

    caught_by: ClassVar = "makes images of images"

    def __call__(self, image: Tensor) -> Tensor:
        return image.flip(-1) * 255


@stage
class GreysWhatHasNoColour:
    """It gives one channel for images without colour and three for the others."""

    caught_by: ClassVar = "makes images of images"

    def __call__(self, image: Tensor) -> Tensor:
        coloured = (image.amax(0) - image.amin(0)).amax() > 0
        return image if coloured else image[:1]


@stage
class CropsAnywhere:
    """It crops at a random place, though images are prepared once and kept."""

    caught_by: ClassVar = "keeps images apart"

    def __call__(self, image: Tensor) -> Tensor:
        top, left = (int(torch.randint(n - 7, ())) for n in image.shape[-2:])
        return image[..., top : top + 8, left : left + 8]


@stage
class LevelsToTheFirst:
    """It brings every image to the brightness of the darkest one it saw before."""

    caught_by: ClassVar = "keeps images apart"
    first: ClassVar[list[float]] = []

    def __call__(self, image: Tensor) -> Tensor:
        if not self.first or self.first[0] > float(image.mean()) > 0.2:
            self.first[:] = [float(image.mean())]
        return (image - image.mean() + self.first[0]).clamp(0, 1)


@stage
class RemembersBySize:
    """It remembers its results by the size of the image instead of by the image."""

    caught_by: ClassVar = "keeps what differs"
    known: ClassVar[dict[Any, Tensor]] = {}

    def __call__(self, image: Tensor) -> Tensor:
        return self.known.setdefault(tuple(image.shape), 1 - image)


@stage
class KnowsByPlace(CenterCrop):
    """It remembers results by where in memory the image was, where another one lies later."""

    caught_by: ClassVar = "keeps images apart"
    known: ClassVar[dict] = {}

    def __call__(self, image: Tensor) -> Tensor:
        key = image.data_ptr(), image.shape
        if key not in self.known:
            self.known[key] = super().__call__(image).clone()
        return self.known[key]
