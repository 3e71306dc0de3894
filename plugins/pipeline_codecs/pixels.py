"""Pixels, normalised: the model's space is the images' own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from pipeline import stage


@stage
class Pixels:
    """Zero mean and unit variance in each channel, by the statistics of the training images."""

    def fit(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        """uint8 (N, C, H, W) batches -> ``mean`` and ``std`` (C,) of values in [0, 1]."""
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for batch in batches:
            pixels = batch.transpose(0, 1).flatten(1).double() / 255
            count += pixels.shape[1]
            total = total + pixels.sum(1)
            squares = squares + pixels.square().sum(1)
        mean = total / count
        # A constant channel has no spread to divide by: half a grey level stands in.
        std = (squares / count - mean.square()).clamp(min=0).sqrt().clamp(min=0.5 / 255)
        return {"mean": mean.float(), "std": std.float()}

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        """uint8 (N, C, H, W) in 0…255 -> float32 x0."""
        return (images.float() / 255 - _over(state["mean"])) / _over(state["std"])

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        """x0 -> uint8 (N, C, H, W); clips to [0, 1] and rounds once."""
        pixels = x0 * _over(state["std"]) + _over(state["mean"])
        return (pixels.clamp(0, 1) * 255).round().to(torch.uint8)


def _over(values: Tensor) -> Tensor:
    """One value a channel, (C,) -> (C, 1, 1), to broadcast over images."""
    return values[:, None, None]
