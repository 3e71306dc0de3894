"""The same numbers as they may lie in memory: stages should not look at the strides."""

from __future__ import annotations

import torch
from torch import Tensor


def forms(x: Tensor) -> dict[str, Tensor]:
    """Copies of x (N, …) of equal numbers and other strides, by what they are."""
    found = {"every second row of a longer tensor": x.repeat_interleave(2, 0)[::2]}
    if x.dim() == 4:
        found["channels last"] = x.contiguous(memory_format=torch.channels_last)
    if x.dim() > 1:
        found["a transposed tensor"] = x.transpose(0, -1).contiguous().transpose(0, -1)
    return found
