"""The noise levels to sample at: how they are spaced from t = 1 on."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from ..plugin.contracts import CLEAN, Rates, Schedule
from ..recipe.schema import Spacing

RHO = 7.0
"""Of Karras et al. 2022, https://arxiv.org/abs/2206.00364, eq. 5."""


def levels(schedule: Schedule, num_steps: int, spacing: Spacing = "uniform") -> list[Rates[float]]:
    """``num_steps`` noisy levels from t = 1 on, then clean.

    The noisy levels k = 0 … N - 1 are evenly spaced

    - ``uniform``: in t = 1 - k / N; the last is t = 1 / N;
    - ``log_snr``: in log-SNR (Lu et al. 2022, https://arxiv.org/abs/2206.00927); the last is t = 0;
    - ``karras``: in sigma^(1 / rho) with rho = 7 (Karras et al. 2022, eq. 5); the last is t = 0.

    One level is t = 1 for each of them. InputError for another spacing, and for a schedule whose
    log-SNR does not fall from one finite value to another.
    """
    rates = schedule(_times(schedule, num_steps, spacing))
    pairs = zip(rates.signal.tolist(), rates.noise.tolist(), strict=True)
    return [*(Rates(signal, noise) for signal, noise in pairs), CLEAN]


def _times(schedule: Schedule, num_steps: int, spacing: Spacing) -> Tensor:
    """The t of the noisy levels, float64."""
    count = torch.arange(num_steps, dtype=torch.float64)
    if spacing == "uniform":
        return 1 - count / num_steps
    share = count / max(1, num_steps - 1)
    start, end = schedule(torch.tensor([1.0, 0.0], dtype=torch.float64)).log_snr
    if not -torch.inf < start < end < torch.inf:
        raise InputError(
            f"spacing {spacing}: the schedule's log-SNR should fall from a finite value at t = 0 "
            f"to one at t = 1, and is {end:g} and {start:g}: use uniform or another schedule"
        )
    if spacing == "log_snr":
        t = time_of(schedule, torch.lerp(start, end, share))
    elif spacing == "karras":
        # log_snr = -2 log(sigma), so this is sigma^(1 / rho).
        first, last = (-start / (2 * RHO)).exp(), (-end / (2 * RHO)).exp()
        t = time_of(schedule, -2 * RHO * torch.lerp(first, last, share).log())
    else:
        raise InputError(f"spacing {spacing}: should be uniform, log_snr or karras")
    t[-1] = 0  # both ends exactly, whatever was rounded
    t[0] = 1
    return t


def time_of(schedule: Schedule, log_snr: Tensor) -> Tensor:
    """The t at which the schedule has these log-SNRs (float64, any shape), by bisection.

    It relies on nothing but that log-SNR falls with t. Beyond the schedule's range it is 0 or 1.
    """
    low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
    for _ in range(60):  # more than the bits of a float64
        middle = (low + high) / 2
        noisy = schedule(middle).log_snr < log_snr
        low, high = torch.where(noisy, low, middle), torch.where(noisy, middle, high)
    return (low + high) / 2
