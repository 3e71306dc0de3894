"""Images that checks give to stages, from a random generator of their own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate


def spots(count: int, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    """Soft coloured spots with a little grain, from black to white: uint8 (N, 3, H, W)."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=draw)
    soft = interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    grain = torch.randn(count, 3, height, width, generator=draw) * 0.02
    return ((soft - 0.5) * 1.6 + 0.5 + grain).clamp(0, 1).mul(255).round().byte()
