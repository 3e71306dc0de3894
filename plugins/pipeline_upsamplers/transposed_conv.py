"""Transposed convolution: upsampling that is learned (Dumoulin & Visin 2016, section 4)."""

from __future__ import annotations

import torch
from torch import nn

from pipeline import stage


@stage
class TransposedConv:
    """A 4×4 transposed convolution of stride 2.

    4 is the smallest kernel that is a multiple of the stride and larger than it: each output pixel
    then sums the same number of products (4, from its 4 nearest inputs), where a kernel of 3 would
    give a checkerboard (Odena et al. 2016, https://doi.org/10.23915/distill.00003) and a kernel of
    2 blocks that do not overlap. It starts as bilinear interpolation, channel by channel
    (Long et al. 2015, https://arxiv.org/abs/1411.4038, section 3.3), so that a comparison with
    ``bilinear`` measures what learning adds.
    """

    def __call__(self, channels: int) -> nn.Module:
        """(N, channels, H, W) -> (N, channels, 2H, 2W); 16 channels² + channels parameters."""
        layer = nn.ConvTranspose2d(channels, channels, kernel_size=4, stride=2, padding=1)
        tent = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
        with torch.no_grad():
            layer.weight.copy_(torch.eye(channels)[:, :, None, None] * tent.outer(tent))
            layer.bias.zero_()  # type: ignore[union-attr]
        return layer
