"""Pixels, normalised: the model's space is the images' own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor

from pipeline import OptionSets, stage


@stage
class Pixels:
    """Each channel shifted and scaled."""

    to: Literal["unit_variance", "range"] = "unit_variance"
    """unit_variance: zero mean and unit variance, by the statistics of the training images, which
    schedules and objectives are made for. range: 0…255 becomes -1…1, as in diffusers, where images
    of a data set have a variance of a quarter or so."""

    examples: ClassVar[OptionSets] = ({"to": "range"},)

    def fit(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        """uint8 (N, C, H, W) batches -> ``mean`` and ``std`` (C,) of values in [0, 1]."""
        if self.to == "range":
            half = torch.full((next(iter(batches)).shape[1],), 0.5)
            return {"mean": half, "std": half.clone()}
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
