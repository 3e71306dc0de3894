"""DPM-Solver++(2M): Lu et al. 2022, https://arxiv.org/abs/2211.01095."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from torch import Tensor

from pipeline import Denoise, Draws, Rates, stage


@stage
class DPMpp2M:
    """Algorithm 2: x0 is extrapolated from the last two predictions to the middle of each step.

    Deterministic, second order in steps of half the log-SNR (the paper's lambda); one network
    evaluation a step. The first step, and the one to the clean level, are of first order.
    """

    order: ClassVar[int] = 2

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
            x = then.noise / now.noise * x - then.signal * math.expm1(-step) * middle
            last = step, x0
        return x
