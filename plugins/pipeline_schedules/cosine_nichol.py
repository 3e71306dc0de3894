"""The cosine schedule: Nichol & Dhariwal 2021, https://arxiv.org/abs/2102.09672, eq. 17."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from pipeline import OptionSets, Rates, stage

from .ends import variance_preserving


@stage
class CosineNichol:
    """alpha_bar = f(t) / f(0), f(t) = cos²((t + offset) / (1 + offset) · π/2). Variance-preserving.

    Where the paper caps beta, so that t = 1 keeps some signal, alpha_bar is squeezed from [0, 1] by
    2.1e-9 at either end: it is the paper's within that, and |log_snr| < 19.98.
    """

    offset: Annotated[float, Field(ge=0, le=1)] = 0.008
    """s: above 0, noise² grows linearly at t = 0; with 0 quadratically, so more slowly."""

    examples: ClassVar[OptionSets] = ({"offset": 0.0}, {"offset": 0.1})

    def __call__(self, t: Tensor) -> Rates[Tensor]:
        """The rates at times ``t`` in [0, 1], any shape: of the same shape and dtype."""
        width = math.pi / 2 / (1 + self.offset)
        # cos²(start) - cos²(angle) = sin(angle - start) sin(angle + start), and cos is sin from the
        # other end: nothing cancels, neither at t = 0 nor at t = 1.
        whole = math.sin(width) ** 2
        alpha_bar = ((1 - t) * width).sin() ** 2 / whole
        rest = (t * width).sin() * ((t + 2 * self.offset) * width).sin() / whole
        return variance_preserving(alpha_bar, rest)
