"""The layers of the 2015 Inception, and images for it."""

from __future__ import annotations

import torch
from torch import Tensor

SIZES = [(32, 32), (320, 401)]

LAYERS = {64: "64", 192: "192", 768: "768", 2048: "2048", "logits": "logits_unbiased"}


def pictures(height: int, width: int) -> Tensor:
    """Two: noise, and darker noise with a bright half. uint8 (2, 3, H, W)."""
    draw = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (2, 3, height, width), generator=draw).float()
    noise[1] *= 0.3
    noise[1, :2, height // 2 :] += 150
    return noise.byte()
