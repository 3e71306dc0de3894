"""Even steps of log-SNR: Lu et al. 2022, https://arxiv.org/abs/2206.00927."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline import Schedule, stage, time_of

from .ends import exact_ends, log_snr_ends, shares


@stage
class LogSNR:
    """The first time is 1, the last 0, and log-SNR grows evenly between them. No options.

    One step is at t = 1.
    """

    def __call__(self, schedule: Schedule, num_steps: int) -> Tensor:
        """The times, float64 (num_steps,).

        Raises InputError unless the schedule's log-SNR falls between two finite values.
        """
        start, end = log_snr_ends("log_snr", schedule)
        log_snr = torch.lerp(start, end, shares(num_steps))
        return exact_ends(time_of(schedule, log_snr))
