"""Inversion in memory: from an image up to the noise that it would be drawn from."""

from __future__ import annotations

from torch import Tensor

from ..plugin.contracts import Denoise, Rates, Sampler
from ..plugin.draws import Draws

FIRST = 10
"""Evaluations of the first step. Near clean the fixed point is a contraction by a factor that is
smaller the less noise the lowest level has."""


def upwards(denoise: Denoise, x0: Tensor, steps: list[Rates[float]], ddim: Sampler) -> Tensor:
    """X at the first of the levels ``steps``, which end clean, from which DDIM ends in x0."""
    *_, lowest, _ = steps
    x = lowest.signal * x0
    for _ in range(FIRST):
        x = lowest.signal * x0 + lowest.noise * denoise(x, lowest).eps
    return ddim(denoise, x, steps[-2::-1], Draws(0, "sample", range(len(x))))
