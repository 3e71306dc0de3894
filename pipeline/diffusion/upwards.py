"""Inversion in memory: from an image up to the noise that it would be drawn from."""

from __future__ import annotations

from torch import Tensor

from ..plugin.contracts import Denoise, Sampler
from ..plugin.draws import Draws
from ..plugin.values import Rates

FIXED_POINT_STEPS = 10
"""Evaluations of the first step. Near clean the fixed point is a contraction by a factor that is
smaller the less noise the lowest level has."""


def upwards(denoise: Denoise, x0: Tensor, levels: list[Rates[float]], sampler: Sampler) -> Tensor:
    """Find x at ``levels[0]``, from which ``sampler`` ends in x0 (N, C, H, W) at the clean level.

    The sampler is deterministic and of first order, and runs backwards: each step takes the noise
    that the network sees at its cleaner end (Song et al. 2021, https://arxiv.org/abs/2010.02502,
    section 4.3). The first one, from the image to the lowest noisy level, is the fixed point
    x = signal * x0 + noise * eps(x) instead, since at the clean level there is no noise to be seen.
    """
    *_, lowest, _ = levels
    x = lowest.signal * x0
    for _ in range(FIXED_POINT_STEPS):
        x = lowest.signal * x0 + lowest.noise * denoise(x, lowest).eps
    return sampler(denoise, x, levels[-2::-1], Draws(0, "sample", range(len(x))))
