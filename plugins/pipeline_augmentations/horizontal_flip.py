"""Mirroring: left becomes right."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pipeline import Draws, OptionSets, stage


@stage
class HorizontalFlip:
    """Mirrors each image with a probability."""

    probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How likely an image is mirrored."""

    examples: ClassVar[OptionSets] = ({"probability": 0.25},)

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """(N, C, H, W) -> the same shape and dtype."""
        chance = draws.uniform(torch.empty(len(images), device=images.device))
        mirrored = (chance < self.probability).reshape(-1, 1, 1, 1)
        return torch.where(mirrored, images.flip(-1), images)
