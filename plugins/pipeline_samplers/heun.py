"""Heun's method with churn: Karras et al. 2022, https://arxiv.org/abs/2206.00364, algorithm 2."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field, model_validator
from torch import Tensor

from pipeline import Denoise, Draws, OptionSets, Rates, stage


@stage
class Heun:
    """The probability-flow ODE by the trapezoidal rule, after a little noise was added anew.

    In sigma = noise / signal, for any schedule's rates. Without churn it is algorithm 1, which is
    deterministic and of second order. Two network evaluations a step, but one to the clean level.

    With churn the network is asked between the levels and, at the first one, above it: for up to
    √2 times the largest noise that it was trained on. The paper does so too; a ``churn_max`` below
    that level's sigma avoids it.
    """

    churn: Annotated[float, Field(ge=0)] = 0.0
    """S_churn: noise added in all steps together. Each of N raises sigma by the factor
    1 + churn / N, at most √2, before it goes down; 0 adds none."""
    churn_min: Annotated[float, Field(ge=0)] | None = None
    """S_tmin: steps from a smaller sigma add none; none: 0."""
    churn_max: Annotated[float, Field(gt=0)] | None = None
    """S_tmax: steps from a larger sigma add none; none: unlimited."""
    churn_noise: Annotated[float, Field(gt=0)] | None = None
    """S_noise: standard deviation of what is added, slightly above 1 against networks that remove
    too much; none: 1, which keeps the distribution."""

    examples: ClassVar[OptionSets] = (
        {"churn": 20.0, "churn_min": 1.0, "churn_max": 3.0, "churn_noise": 1.007},
        {"churn": 0.5},
    )

    @model_validator(mode="after")
    def _refuse_unread(self) -> Heun:
        for name in ("churn_min", "churn_max", "churn_noise"):
            if not self.churn and getattr(self, name) is not None:
                raise ValueError(f"{name} has no effect without churn: set churn above 0")
        if self.churn_max is not None and self.churn_max < (self.churn_min or 0):
            raise ValueError("churn_max should not be below churn_min: no step would add noise")
        return self

    @property
    def order(self) -> int | None:
        """2 for the deterministic sampler; random paths have no order."""
        return None if self.churn else 2

    def nfe(self, num_steps: int) -> int:
        """Two network evaluations a step, but one for the last."""
        return 2 * num_steps - 1

    def __call__(
        self, denoise: Denoise, x: Tensor, levels: Sequence[Rates[float]], draws: Draws
    ) -> Tensor:
        """x (N, C, H, W) at levels[0] -> x at levels[-1]."""
        for now, then in pairwise(levels):
            hat = Rates(now.signal, now.noise * self._raise(now.sigma, len(levels) - 1))
            if hat != now:
                fresh = (self.churn_noise or 1.0) * (hat.noise**2 - now.noise**2) ** 0.5
                x = x + fresh * draws.normal(x)  # line 6
            # The slope is d xbar / d sigma = (xbar - x0) / sigma = eps (lines 7 and 10).
            seen = denoise(x, hat)
            # Euler's step xbar + (then.sigma - hat.sigma) * eps, free of cancellation (line 8).
            x = then.signal * seen.x0 + then.noise * seen.eps
            if then.noise:
                ahead = denoise(x, then)
                step = then.sigma - hat.sigma
                x = x + then.signal * step * (ahead.eps - seen.eps) / 2  # line 11
        return x

    def _raise(self, sigma: float, num_steps: int) -> float:
        """1 + the paper's gamma: by how much the noise grows before the step (line 5)."""
        largest = float("inf") if self.churn_max is None else self.churn_max
        if (self.churn_min or 0) <= sigma <= largest:
            return 1 + min(self.churn / num_steps, 2**0.5 - 1)
        return 1.0
