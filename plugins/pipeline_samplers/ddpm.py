"""DDPM's ancestral sampling: Ho et al. 2020, https://arxiv.org/abs/2006.11239."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal

from torch import Tensor

from pipeline import Denoise, Draws, OptionSets, Rates, stage


@stage
class DDPM:
    """Algorithm 2: each step draws from q(x_then | x_now, x0) with the predicted x0 (eq. 6, 7).

    Written for any two levels, so that a few steps of a continuous schedule will do. Stochastic;
    one network evaluation a step; the step to the clean level adds no noise.
    """

    variance: Literal["small", "large"] = "small"
    """How much noise a step adds: the posterior's (beta tilde) or the forward step's (beta)."""

    examples: ClassVar[OptionSets] = ({"variance": "large"},)

    order: ClassVar[None] = None

    def nfe(self, num_steps: int) -> int:
        """One network evaluation a step."""
        return num_steps

    def __call__(
        self, denoise: Denoise, x: Tensor, levels: Sequence[Rates[float]], draws: Draws
    ) -> Tensor:
        """x (N, C, H, W) at levels[0] -> x at levels[-1]."""
        for now, then in pairwise(levels):
            x0 = denoise(x, now).x0
            shrink = now.signal / then.signal  # sqrt(1 - beta) of the step, for any rates
            forward = now.noise**2 - (shrink * then.noise) ** 2  # its beta
            share = (then.noise / now.noise) ** 2
            x = then.signal * forward / now.noise**2 * x0 + shrink * share * x
            if then.noise:
                variance = forward * share if self.variance == "small" else forward
                x = x + variance**0.5 * draws.normal(x)
        return x
