"""The noise levels of EDM: Karras et al. 2022, https://arxiv.org/abs/2206.00364, eq. 5."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor

from pipeline import OptionSets, Rates, stage

# Between these |log_snr| stays below 20.
Sigma = Annotated[float, Field(ge=5e-5, le=2e4)]


@stage
class Karras:
    """signal = 1, noise = sigma, sigma^(1 / rho) linear in t. Variance-exploding.

    Levels evenly spaced in t are the paper's steps but for the last: N of them are the first N of
    the paper's N + 1, so that the last sigma is above sigma_min (0.00704 for N = 18). ``spacing:
    karras`` gives the paper's. Uniform times in training have a median sigma of 2.5, the paper's
    log-normal has 0.3: the objective's times logit_normal with location -0.87 and scale 0.48 come
    near that.
    """

    sigma_min: Sigma = 0.002
    """noise at t = 0."""
    sigma_max: Sigma = 80.0
    """noise at t = 1, at least twice sigma_min."""
    rho: Annotated[float, Field(ge=1, le=20)] = 7.0
    """1 is linear in sigma; the larger, the more of t is spent on little noise."""

    examples: ClassVar[OptionSets] = (
        {"sigma_min": 0.01, "sigma_max": 50.0, "rho": 3.0},
        {"sigma_min": 5e-5, "sigma_max": 2e4, "rho": 1.0},
        {"sigma_min": 1e4, "sigma_max": 2e4, "rho": 20.0},
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.sigma_max < 2 * self.sigma_min:
            raise ValueError("sigma_max should be at least twice sigma_min")
        return self

    def __call__(self, t: Tensor) -> Rates[Tensor]:
        """The rates at times ``t`` in [0, 1], any shape: of the same shape and dtype."""
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        sigma = ((low + (high - low) * t).log() * self.rho).exp()
        return Rates(t.new_ones(t.shape), sigma)
