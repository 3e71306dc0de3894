"""The largest rectangle of one shape in the middle of an image."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from pipeline import OptionSets, stage


@stage
class CenterCrop:
    """Cuts off the longer sides; an odd pixel goes at the bottom or on the right."""

    aspect: Annotated[float, Field(gt=0)] = 1.0
    """Width divided by height of what stays; 1 is a square."""

    examples: ClassVar[OptionSets] = ({}, {"aspect": 1.5})

    def __call__(self, image: Tensor) -> Tensor:
        """(C, H, W) -> (C, h, w), from row (H - h) // 2 and column (W - w) // 2 on.

        w = W or h = H, and the other is w / aspect or h * aspect, rounded, at least 1.
        """
        height, width = image.shape[-2:]
        wide = min(width, max(1, round(height * self.aspect)))
        high = min(height, max(1, round(width / self.aspect)))
        top, left = (height - high) // 2, (width - wide) // 2
        return image[..., top : top + high, left : left + wide]
