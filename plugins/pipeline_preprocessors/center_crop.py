"""The largest square in the middle of an image."""

from __future__ import annotations

from torch import Tensor

from pipeline import stage


@stage
class CenterCrop:
    """Cuts off the longer sides; an odd pixel goes at the bottom or on the right."""

    def __call__(self, image: Tensor) -> Tensor:
        """(C, H, W) -> (C, S, S), S = min(H, W), from row (H - S) // 2 and column (W - S) // 2."""
        height, width = image.shape[-2:]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return image[..., top : top + side, left : left + side]
