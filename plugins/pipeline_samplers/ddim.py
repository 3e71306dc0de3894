"""DDIM: Song et al. 2021, https://arxiv.org/abs/2010.02502."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from pipeline import Denoise, Draws, OptionSets, Rates, stage


@stage
class DDIM:
    """Eq. 12: predict x0 and eps, and mix them anew at the next level's rates.

    Deterministic and first order for eta = 0; one network evaluation a step.
    """

    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    """0 is DDIM, 1 the ancestral noise of DDPM (eq. 16)."""

    examples: ClassVar[OptionSets] = ({"eta": 0.5}, {"eta": 1.0})

    @property
    def order(self) -> int | None:
        """1 for the deterministic sampler; random paths have no order."""
        return None if self.eta else 1

    def nfe(self, num_steps: int) -> int:
        """One network evaluation a step."""
        return num_steps

    def __call__(
        self, denoise: Denoise, x: Tensor, levels: Sequence[Rates[float]], draws: Draws
    ) -> Tensor:
        """x (N, C, H, W) at levels[0] -> x at levels[-1]."""
        for now, then in pairwise(levels):
            seen = denoise(x, now)
            # Eq. 16 in terms of sigma = noise / signal, which holds for any schedule's rates.
            fresh = self.eta * then.noise * max(0.0, 1 - (then.sigma / now.sigma) ** 2) ** 0.5
            kept = (then.noise**2 - fresh**2) ** 0.5
            x = then.signal * seen.x0 + kept * seen.eps
            if fresh:
                x = x + fresh * draws.normal(x)
        return x
