"""Images of another number of pixels."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline import OptionSets, stage

Pixels = Annotated[int, Field(ge=1)]


@stage
class Resize:
    """Resizes to ``size``, bilinear with antialiasing.

    An image of another shape is squeezed into it: ``center_crop`` before it keeps proportions.
    The arithmetic is that of torchvision's ``transforms.v2.functional.resize`` on float images.
    """

    size: Pixels | tuple[Pixels, Pixels]
    """Height and width in pixels; one number for a square."""

    examples: ClassVar[OptionSets] = ({"size": 16}, {"size": 64}, {"size": (16, 24)})

    def __call__(self, image: Tensor) -> Tensor:
        """(C, H, W) -> (C, height, width)."""
        size = (self.size, self.size) if isinstance(self.size, int) else self.size
        return interpolate(image[None], size, mode="bilinear", antialias=True)[0]
