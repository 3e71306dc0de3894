"""Heun's method: Karras et al. 2022, https://arxiv.org/abs/2206.00364, algorithm 1."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

from pipeline import Rates, hookimpl, stage

if TYPE_CHECKING:  # listing the plugins shall not wait for torch
    from torch import Tensor

    from pipeline.contracts import Denoise
    from pipeline.draws import Draws


@stage
class Heun:
    """The probability-flow ODE by the trapezoidal rule; deterministic, second order.

    Two network evaluations a step, one for the step to the clean level. The paper's ODE is that of
    xbar = x / signal over sigma = noise / signal, so any schedule's rates will do.
    """

    order: ClassVar[int] = 2

    def nfe(self, num_steps: int) -> int:
        """Two a step, but one for the last."""
        return 2 * num_steps - 1

    def __call__(
        self, denoise: Denoise, x: Tensor, levels: Sequence[Rates[float]], draws: Draws
    ) -> Tensor:
        """x (N, C, H, W) at levels[0] -> x at levels[-1]."""
        for now, then in pairwise(levels):
            # The slope is d xbar / d sigma = (xbar - x0) / sigma = eps (lines 4 and 7).
            seen = denoise(x, now)
            # Euler's step xbar + (sigma_then - sigma_now) * eps, free of cancellation (line 5).
            x = then.signal * seen.x0 + then.noise * seen.eps
            if then.noise:
                ahead = denoise(x, then)
                step = then.sigma - now.sigma
                x = x + then.signal * step * (ahead.eps - seen.eps) / 2  # line 8
        return x


@hookimpl
def register_samplers() -> dict[str, type]:
    """Names and their classes."""
    return {"heun": Heun}
