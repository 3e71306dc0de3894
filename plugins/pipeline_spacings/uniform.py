"""Evenly spaced times: Song et al. 2021, https://arxiv.org/abs/2010.02502, appendix D.2."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline import Schedule, stage


@stage
class Uniform:
    """t = 1 - k / num_steps for k = 0 … num_steps - 1; the last is 1 / num_steps. No options."""

    def __call__(self, schedule: Schedule, num_steps: int) -> Tensor:
        """The times, float64 (num_steps,), whatever the schedule."""
        return 1 - torch.arange(num_steps, dtype=torch.float64) / num_steps
