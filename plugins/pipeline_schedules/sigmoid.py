"""The sigmoid schedule: Jabri et al. 2022, https://arxiv.org/abs/2212.11972.

As in Chen 2023, https://arxiv.org/abs/2301.10972, algorithm 1, without its clipping.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor

from pipeline import OptionSets, Rates, stage

from .ends import variance_preserving


@stage
class Sigmoid:
    """alpha_bar falls from 1 to 0 as sigmoid(-z / tau), z from start to end. Variance-preserving.

    It is shifted and scaled to do so, then squeezed from [0, 1] by 2.1e-9 at either end: it is the
    papers' within that, and |log_snr| < 19.98.
    """

    start: float = -3.0
    """z at t = 0, within ±20 tau."""
    end: float = 3.0
    """z at t = 1, within ±20 tau and above start by tau / 100 or more."""
    tau: Annotated[float, Field(gt=0)] = 1.0
    """Temperature: the larger, the straighter the fall."""

    examples: ClassVar[OptionSets] = (
        {"start": 0.0, "end": 3.0, "tau": 0.7},
        {"start": -20.0, "end": 20.0, "tau": 1.0},
        {"start": 0.0, "end": 0.01, "tau": 1.0},
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if max(abs(self.start), abs(self.end)) > 20 * self.tau:
            raise ValueError("start and end should be between -20 tau and 20 tau")
        if self.end - self.start < self.tau / 100:
            raise ValueError("end should be above start, by tau / 100 or more")
        return self

    def __call__(self, t: Tensor) -> Rates[Tensor]:
        """The rates at times ``t`` in [0, 1], any shape: of the same shape and dtype."""
        # sigmoid(a) - sigmoid(b) = -expm1(b - a) / (1 + exp(b)) / (1 + exp(-a)): nothing cancels,
        # neither at t = 0 nor at t = 1.
        first, last = self.start / self.tau, self.end / self.tau
        width, z = last - first, first + (last - first) * t
        alpha_bar = (width * (t - 1)).expm1() / (1 + z.exp()) / _whole(width, first)
        rest = (-width * t).expm1() / (1 + (-z).exp()) / _whole(width, -last)
        return variance_preserving(alpha_bar, rest)


def _whole(width: float, z: float) -> float:
    """What alpha_bar at t = 0, and 1 - alpha_bar at t = 1, are divided by, so that they are 1."""
    return math.expm1(-width) / (1 + math.exp(z))
