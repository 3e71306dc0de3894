"""Euler's method with ancestral noise: k-diffusion's ``sample_euler_ancestral``.

https://github.com/crowsonkb/k-diffusion (Crowson 2022), on the probability-flow ODE of Karras et
al. 2022 (https://arxiv.org/abs/2206.00364, eq. 1): that of xbar = x / signal over sigma.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from pipeline import Denoise, Draws, OptionSets, Rates, stage


@stage
class EulerAncestral:
    """Go by Euler's method to less noise than is asked for, and add what is missing anew.

    In sigma = noise / signal, for any schedule's rates; up to eta = 1 it is ``ddim`` with the same
    eta. One network evaluation a step.
    """

    eta: Annotated[float, Field(ge=0)] = 1.0
    """0 is Euler's method, 1 the noise of DDPM's posterior; above 1 more is taken away and added,
    up to all of it, and more steps are needed for the same accuracy."""

    examples: ClassVar[OptionSets] = ({"eta": 0.0}, {"eta": 1.5})

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
            posterior = then.sigma * max(0.0, 1 - (then.sigma / now.sigma) ** 2) ** 0.5
            up = min(self.eta * posterior, then.sigma)
            down = (then.sigma**2 - up**2) ** 0.5
            # Euler's step xbar + (down - now.sigma) * eps, free of cancellation.
            x = then.signal * (seen.x0 + down * seen.eps)
            if up:
                x = x + then.signal * up * draws.normal(x)
        return x
