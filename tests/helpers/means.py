"""Features without a network: the mean of each channel."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from pipeline import IOOnly, stage


class MeansExtractor:
    """Counts how often it is called."""

    dim, output = 3, "features"

    def __init__(self, digest: str = "means") -> None:
        self.id, self.calls = digest, 0

    def __call__(self, images: Tensor) -> Tensor:
        self.calls += 1
        return images.float().mean((2, 3))

    def to(self, device: str) -> MeansExtractor:
        return self


@stage
class Means:
    """The mean of each channel."""

    weights: Annotated[str, IOOnly()] = "means"
    """What stands in the extractor's id for the content of its weights."""

    def __call__(self) -> MeansExtractor:
        return MeansExtractor(self.weights)


def pictures(count: int, size: int = 32, seed: int = 0) -> Tensor:
    """Noise, uint8 (count, 3, size, size)."""
    drawn = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, size, size), generator=drawn, dtype=torch.uint8)
