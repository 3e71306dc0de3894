"""Images of another number of pixels."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline import OptionSets, stage


@stage
class Resize:
    """Resizes to a square of ``size`` pixels, bilinear with antialiasing.

    An image that is not square is squeezed into one: ``center_crop`` before it keeps proportions.
    The arithmetic is that of torchvision's ``transforms.v2.functional.resize`` on float images.
    """

    size: Annotated[int, Field(ge=1)]
    """Height and width in pixels."""

    examples: ClassVar[OptionSets] = ({"size": 16}, {"size": 64})

    def __call__(self, image: Tensor) -> Tensor:
        """(C, H, W) -> (C, size, size)."""
        square = (self.size, self.size)
        return interpolate(image[None], square, mode="bilinear", antialias=True)[0]
