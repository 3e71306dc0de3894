"""Nearest-neighbour interpolation."""

from __future__ import annotations

from torch import nn

from pipeline import stage


@stage
class Nearest:
    """Repeats each pixel as a 2×2 square. No parameters."""

    def __call__(self, channels: int) -> nn.Module:
        """(N, channels, H, W) -> (N, channels, 2H, 2W)."""
        return nn.Upsample(scale_factor=2, mode="nearest")
