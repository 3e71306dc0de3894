"""DDPM's linear betas in continuous time, the VP SDE.

Ho et al. 2020, https://arxiv.org/abs/2006.11239, section 4; Song et al. 2021,
https://arxiv.org/abs/2011.13456, eq. 33.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor

from pipeline import OptionSets, Rates, stage

from .ends import variance_preserving


@stage
class Linear:
    """alpha_bar = exp(-(beta_min · t + (beta_max - beta_min) · t² / 2)). Variance-preserving.

    alpha_bar is squeezed from [0, 1] by 2.1e-9 at either end, so that t = 0 keeps some noise: it is
    the papers' within that, and |log_snr| < 19.98.
    """

    beta_min: Annotated[float, Field(ge=0)] = 0.1
    """beta at t = 0, per unit of t: the first one of DDPM's 1000 steps, times 1000."""
    beta_max: Annotated[float, Field(ge=1)] = 20.0
    """beta at t = 1. beta_min + beta_max is 40 at most, where alpha_bar(1) is exp(-20)."""

    examples: ClassVar[OptionSets] = (
        {"beta_min": 0.0, "beta_max": 1.0},
        {"beta_min": 1.0, "beta_max": 39.0},
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.beta_min >= self.beta_max:
            raise ValueError("beta_min should be smaller than beta_max")
        if self.beta_min + self.beta_max > 40:
            raise ValueError(
                "beta_min + beta_max should be at most 40: log_snr would fall below -20"
            )
        return self

    def __call__(self, t: Tensor) -> Rates[Tensor]:
        """The rates at times ``t`` in [0, 1], any shape: of the same shape and dtype."""
        integral = t * (self.beta_min + (self.beta_max - self.beta_min) / 2 * t)
        return variance_preserving((-integral).exp(), -(-integral).expm1())
