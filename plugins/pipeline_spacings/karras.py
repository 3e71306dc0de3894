"""The steps of EDM: Karras et al. 2022, https://arxiv.org/abs/2206.00364, eq. 5."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pipeline import OptionSets, Schedule, stage, time_of

from .ends import exact_ends, log_snr_ends, shares


@stage
class Karras:
    """The first time is 1, the last 0, and sigma^(1 / rho) falls evenly between them.

    One step is at t = 1.
    """

    rho: Annotated[float, Field(ge=0.1, le=100)] = 7.0
    """1 is even in sigma; the larger, the more levels have little noise."""

    examples: ClassVar[OptionSets] = ({"rho": 1.0}, {"rho": 20.0})

    def __call__(self, schedule: Schedule, num_steps: int) -> Tensor:
        """The times, float64 (num_steps,).

        Raises InputError unless the schedule's log-SNR falls between two finite values.
        """
        start, end = log_snr_ends("karras", schedule)
        # log_snr = -2 log(sigma), so these are sigma^(1 / rho) at either end.
        first, last = (-start / (2 * self.rho)).exp(), (-end / (2 * self.rho)).exp()
        log_snr = -2 * self.rho * torch.lerp(first, last, shares(num_steps)).log()
        return exact_ends(time_of(schedule, log_snr))
