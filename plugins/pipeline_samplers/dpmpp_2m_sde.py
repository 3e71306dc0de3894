"""SDE-DPM-Solver++(2M), the midpoint version: Lu et al. 2022, https://arxiv.org/abs/2211.01095.

The amount of noise is an option as in k-diffusion's ``sample_dpmpp_2m_sde`` (Crowson 2022,
https://github.com/crowsonkb/k-diffusion).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from pipeline import Denoise, Draws, OptionSets, Rates, stage


@stage
class DPMpp2MSDE:
    """The reverse SDE, with x0 extrapolated from two predictions to the middle of each step.

    Exact in all but x0: x / signal nears it as exp(-(1 + eta) lambda), lambda half the log-SNR. One
    network evaluation a step. The first step, and the one to the clean level, do not extrapolate.
    """

    eta: Annotated[float, Field(ge=0)] = 1.0
    """1 is the paper's SDE, 0 the deterministic ``dpmpp_2m``; above 1 more noise."""

    examples: ClassVar[OptionSets] = ({"eta": 0.0}, {"eta": 1.5})

    @property
    def order(self) -> int | None:
        """2 for the deterministic sampler; random paths have no order."""
        return None if self.eta else 2

    def nfe(self, num_steps: int) -> int:
        """One network evaluation a step."""
        return num_steps

    def __call__(
        self, denoise: Denoise, x: Tensor, levels: Sequence[Rates[float]], draws: Draws
    ) -> Tensor:
        """x (N, C, H, W) at levels[0] -> x at levels[-1]."""
        last: tuple[float, Tensor] | None = None
        for now, then in pairwise(levels):
            x0 = denoise(x, now).x0
            if not then.noise:  # infinitely far in log-SNR: nothing can be extrapolated
                return then.signal * x0
            step = math.log(now.sigma / then.sigma)
            middle = x0 if last is None else x0 + step / last[0] / 2 * (x0 - last[1])
            kept = then.noise / now.noise * math.exp(-self.eta * step)
            x = kept * x - then.signal * math.expm1(-(1 + self.eta) * step) * middle
            if self.eta:
                fresh = then.noise * (-math.expm1(-2 * self.eta * step)) ** 0.5
                x = x + fresh * draws.normal(x)
            last = step, x0
        return x
