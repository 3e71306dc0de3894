"""The time at which a schedule has a given log-SNR; importing this imports torch."""

from __future__ import annotations

import torch
from torch import Tensor

from .contracts import Schedule


def time_of(schedule: Schedule, log_snr: Tensor) -> Tensor:
    """The t in [0, 1] at which the schedule has these log-SNRs, by bisection.

    It relies on nothing but that log-SNR falls with t. Beyond the schedule's range it is 0 or 1.

    schedule: the rates at any time.
    log_snr: float64, any shape.
    """
    low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
    for _ in range(60):  # more than the bits of a float64
        middle = (low + high) / 2
        noisy = schedule(middle).log_snr < log_snr
        low, high = torch.where(noisy, low, middle), torch.where(noisy, middle, high)
    return (low + high) / 2
