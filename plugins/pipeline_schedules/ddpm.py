"""The discrete schedules of DDPM: Ho et al. 2020 (https://arxiv.org/abs/2006.11239, section 4),
Nichol & Dhariwal 2021 (https://arxiv.org/abs/2102.09672, eq. 17), Rombach et al. 2022.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor

from pipeline import MAX_LOG_SNR, OptionSets, Rates, stage

Array = npt.NDArray[np.float64]
Betas = Literal["linear", "scaled_linear", "squaredcos_cap_v2"]


@stage
class DDPM:
    """signal² at t = (i + 1) / N is the product of 1 - beta to step i; log-SNR is linear between.

    Variance-preserving. Names and numbers are those of diffusers' schedulers, so that levels at
    k / N are the very ones that a network of theirs was trained with.
    """

    betas: Betas | tuple[Annotated[float, Field(gt=0, lt=1)], ...] = "linear"
    """linear: from beta_start to beta_end; scaled_linear: their roots are; squaredcos_cap_v2: the
    cosine of Nichol & Dhariwal, which reads neither; or the numbers themselves."""
    beta_start: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    """beta of the first step."""
    beta_end: Annotated[float, Field(gt=0, lt=1)] = 0.02
    """beta of the last step."""
    steps: Annotated[int, Field(ge=2, le=100_000)] = 1000
    """How many steps the betas are made for; the length of a list of them."""
    used: Annotated[int, Field(ge=2)] | None = None
    """N, how many of them t goes through; none: all. Fewer leave more signal at t = 1."""

    examples: ClassVar[OptionSets] = (
        {"betas": "scaled_linear", "beta_start": 8.5e-4, "beta_end": 0.012, "steps": 500},
        {"betas": "squaredcos_cap_v2", "used": 990},
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if isinstance(self.betas, tuple) and len(self.betas) != self.steps:
            raise ValueError(f"{len(self.betas)} betas were given; set steps to that")
        if (self.used or 2) > self.steps:
            raise ValueError(f"used should be at most steps, {self.steps}")
        log_snr = self._log_snr()
        if not -MAX_LOG_SNR < log_snr[-1] < log_snr[1] < MAX_LOG_SNR:
            raise ValueError(
                f"log_snr goes from {log_snr[1]:.4g} to {log_snr[-1]:.4g}, beyond ±{MAX_LOG_SNR}: "
                "take a larger first beta, or use fewer of the steps"
            )
        return self

    def __call__(self, t: Tensor) -> Rates[Tensor]:
        """The rates at times ``t`` in [0, 1], any shape: of the same shape and dtype."""
        knots = torch.as_tensor(self._log_snr(), device=t.device)
        place = t.double() * (len(knots) - 1)
        below = place.floor().long().clamp(0, len(knots) - 2)
        log_snr = torch.lerp(knots[below], knots[below + 1], place - below)
        signal, noise = log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt()
        return Rates(signal.to(t.dtype), noise.to(t.dtype))

    def _log_snr(self) -> Array:
        return _knots(self.betas, self.beta_start, self.beta_end, self.steps, self.used)


@lru_cache(maxsize=16)
def _knots(
    betas: Betas | tuple[float, ...], start: float, end: float, steps: int, used: int | None
) -> Array:
    """log-SNR at t = 0, 1 / N, …, 1, (N + 1,); before the first step it goes on as after it."""
    log_signal = np.log1p(-_betas(betas, start, end, steps)[:used]).cumsum()
    log_snr = log_signal - np.log(-np.expm1(log_signal))
    before = min(2 * log_snr[0] - log_snr[1], (log_snr[0] + MAX_LOG_SNR) / 2)
    return np.concatenate([[before], log_snr])


def _betas(betas: Betas | tuple[float, ...], start: float, end: float, steps: int) -> Array:
    if isinstance(betas, tuple):
        return np.array(betas)
    if betas == "linear":
        return np.linspace(start, end, steps)
    if betas == "scaled_linear":
        return np.linspace(start**0.5, end**0.5, steps) ** 2
    signal = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2) ** 2
    capped: Array = np.minimum(1 - signal[1:] / signal[:-1], 0.999)
    return capped
