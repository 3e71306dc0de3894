"""Images that are a little worse are found to be: drawn flowers, in a network's features."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.compare.samples import difference
from pipeline.diffusion.measure import extract
from pipeline_datasets.procedural_flowers import ProceduralFlowers
from pipeline_features.efficientnet_lite import EfficientNetLite0
from pipeline_metrics.kid import KID

POOL, COUNT, TRIALS = 2400, 1000, 200
KEPT = 64
"""Random directions of the features: they keep inner products, and 200 trials take seconds."""
SHARE = 0.02


def drawings() -> Tensor:
    """Without grain, which would be noise already: uint8 (POOL, 3, 32, 32)."""
    source = ProceduralFlowers(num_images=POOL, size=32, grain=0)()
    pixels = np.stack([np.asarray(source.image(i)) for i in range(POOL)])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def noisy(images: Tensor, draw: torch.Generator) -> Tensor:
    """98 % of the image and 2 % of a picture of uniform noise: at most 5 of 255 levels."""
    noise = torch.rand(images.shape, generator=draw) * 255
    return ((1 - SHARE) * images + SHARE * noise).round().to(torch.uint8)


@pytest.mark.slow
def test_2_percent_of_noise_is_found_in_1000_images():
    """In each trial other flowers are real and others generated, drawn from a pool of them."""
    draw = torch.Generator().manual_seed(0)
    images = drawings()
    extractor = EfficientNetLite0(image_size=32)()
    directions = torch.randn(extractor.dim, KEPT, generator=draw) / math.sqrt(extractor.dim)
    clean, worse = (
        torch.cat(list(extract(extractor, sets.split(100)))) @ directions
        for sets in (images, noisy(images, draw))
    )
    found = []
    for _ in range(TRIALS):
        order = torch.randperm(POOL, generator=draw)
        real, fake = order[:COUNT], order[COUNT : 2 * COUNT]
        told = difference(KID(), clean[real], [(clean[fake], worse[fake])])
        found.append(told.value > 0 and told.p < 0.05)
    assert statistics.fmean(found) >= 0.9
