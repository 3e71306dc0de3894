"""What spacings from t = 1 to t = 0 have in common."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline import InputError, Schedule


def log_snr_ends(spacing: str, schedule: Schedule) -> tuple[Tensor, Tensor]:
    """The schedule's log-SNR at t = 1 and at t = 0, float64 scalars.

    Raises InputError unless both are finite and the one at t = 1 is the smaller.
    """
    start, end = schedule(torch.tensor([1.0, 0.0], dtype=torch.float64)).log_snr
    if not -torch.inf < start < end < torch.inf:
        raise InputError(
            f"spacing {spacing}: the schedule's log-SNR should fall from a finite value at t = 0 "
            f"to one at t = 1, and is {end:g} and {start:g}: use uniform or another schedule"
        )
    return start, end


def shares(num_steps: int) -> Tensor:
    """How far each level is on the way from the first to the last: 0 … 1, float64 (num_steps,)."""
    return torch.arange(num_steps, dtype=torch.float64) / max(1, num_steps - 1)


def exact_ends(t: Tensor) -> Tensor:
    """These times with the last at 0 and the first at 1, whatever was rounded; one alone is 1."""
    t[-1] = 0
    t[0] = 1
    return t
