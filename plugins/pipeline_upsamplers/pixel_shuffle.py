"""Sub-pixel convolution (Shi et al. 2016, https://arxiv.org/abs/1609.05158, section 3.2)."""

from __future__ import annotations

import torch
from torch import nn

from pipeline import stage


@stage
class PixelShuffle:
    """A 3×3 convolution to 4 × channels, rearranged into 2×2 squares.

    The four channels of a square start equal (ICNR, Aitken et al. 2017,
    https://arxiv.org/abs/1707.02937, section 3), so that training starts without a checkerboard.
    """

    def __call__(self, channels: int) -> nn.Module:
        """(N, channels, H, W) -> (N, channels, 2H, 2W); 36 channels² + 4 channels parameters."""
        layer = nn.Conv2d(channels, 4 * channels, kernel_size=3, padding=1)
        start = torch.empty(channels, channels, 3, 3)
        nn.init.xavier_uniform_(start)
        with torch.no_grad():
            layer.weight.copy_(start.repeat_interleave(4, dim=0))
            layer.bias.zero_()  # type: ignore[union-attr]
        return nn.Sequential(layer, nn.PixelShuffle(2))
