"""The offset cosine schedule: a quarter circle without its ends.

Nichol & Dhariwal 2021 (https://arxiv.org/abs/2102.09672, eq. 17) for the cosine; the offset by two
signal rates is the one of the Keras example "Denoising Diffusion Implicit Models" (Béres 2022).
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor

from pipeline import OptionSets, Rates, stage

# Between these rates |log_snr| stays below 20.
Rate = Annotated[float, Field(ge=5e-5, le=1 - 5e-9)]


@stage
class Cosine:
    """signal = cos(angle), noise = sin(angle), the angle linear in t. Variance-preserving."""

    min_signal_rate: Rate = 0.02
    """signal at t = 1. Above 0, so that x0 can be told from eps there."""
    max_signal_rate: Rate = 0.95
    """signal at t = 0. Below 1, so that the network always sees some noise."""

    examples: ClassVar[OptionSets] = (
        {"min_signal_rate": 5e-5, "max_signal_rate": 1 - 5e-9},
        {"min_signal_rate": 0.999, "max_signal_rate": 1 - 5e-9},
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_signal_rate >= self.max_signal_rate:
            raise ValueError("min_signal_rate should be smaller than max_signal_rate")
        return self

    def __call__(self, t: Tensor) -> Rates[Tensor]:
        """The rates at times ``t`` in [0, 1], any shape: of the same shape and dtype."""
        start, end = math.acos(self.max_signal_rate), math.acos(self.min_signal_rate)
        angle = start + t * (end - start)
        return Rates(angle.cos(), angle.sin())
