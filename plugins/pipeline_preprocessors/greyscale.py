"""Images without colour."""

from __future__ import annotations

from torch import Tensor

from pipeline import stage


@stage
class Greyscale:
    """One channel, the luma of ITU-R BT.601, as Pillow's mode L has it before rounding."""

    def __call__(self, image: Tensor) -> Tensor:
        """(3, H, W) or (1, H, W) -> (1, H, W)."""
        if image.shape[0] == 1:
            return image
        weights = image.new_tensor([0.299, 0.587, 0.114])
        return (image * weights[:, None, None]).sum(0, keepdim=True)
