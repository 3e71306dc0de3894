"""Linear multistep: k-diffusion's ``sample_lms``, https://github.com/crowsonkb/k-diffusion.

On the probability-flow ODE of Karras et al. 2022 (https://arxiv.org/abs/2206.00364, eq. 1), as
PLMS of Liu et al. 2022 (https://arxiv.org/abs/2202.09778) is on that of DDIM.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from pipeline import Rates, hookimpl, stage

if TYPE_CHECKING:  # listing the plugins shall not wait for torch
    from torch import Tensor

    from pipeline import Denoise, Draws


@stage
class LMS:
    """Adams and Bashforth's method of order 2: the slope is extrapolated from the last two.

    Deterministic, in steps of sigma = noise / signal, for any schedule's rates; one network
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
            seen = denoise(x, now)
            # Euler's step xbar + step * eps, as eps is the slope of xbar = x / signal over sigma.
            x = then.signal * seen.x0 + then.noise * seen.eps
            step = then.sigma - now.sigma
            if last and then.noise:
                # The line through the last two slopes, integrated over the step.
                x = x + then.signal * step**2 / last[0] / 2 * (seen.eps - last[1])
            last = step, seen.eps
        return x


@hookimpl
def register_samplers() -> dict[str, type]:
    """Names and their classes."""
    return {"lms": LMS}
