"""Images for codecs."""

from __future__ import annotations

import numpy as np
import pytest
import torch


@pytest.fixture
def photos() -> torch.Tensor:
    """20 images; each channel has its own mean and deviation."""
    draw = np.random.default_rng(0)
    pixels = draw.normal([60, 128, 200], [10, 40, 25], (20, 6, 5, 3)).clip(0, 255)
    return torch.from_numpy(pixels.astype(np.uint8)).permute(0, 3, 1, 2).contiguous()
