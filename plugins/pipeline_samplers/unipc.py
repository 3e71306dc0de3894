"""UniPC: Zhao et al. 2023, https://arxiv.org/abs/2302.04867, section 3.

A step over h of half the log-SNR (the paper's lambda) is exact but for x0, of which a polynomial
through predictions is integrated against the exponential weight of the exact solution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from pipeline import Denoise, Draws, OptionSets, Rates, stage

Points = Sequence[tuple[float, Tensor]]
"""Positions in the step, 0 its start and 1 its end, with how x0 there differs from the start's."""


@stage
class UniPC:
    """Predict the next x from earlier x0, look from there, and correct x by what is seen.

    The multistep method for x0. The correction takes no evaluation of its own: what is seen serves
    the next step too. So one evaluation a step, and the last step is not corrected. The first steps
    have lower orders, as there are fewer predictions; so has the one to the clean level.
    """

    solver_order: Literal[1, 2, 3] = 2
    """The order p of the predictor UniP-p. The corrector UniC-p makes the step's order p + 1."""
    variant: Literal["bh1", "bh2"] = "bh2"
    """B(h) = h or 1 - exp(-h), which the weight 1/2 of UniP-2 and of UniC-1 multiplies. The other
    weights are solved for, and B(h) cancels. bh1 is meant for under 10 steps without guidance."""

    examples: ClassVar[OptionSets] = (
        {"solver_order": 3, "variant": "bh1"},
        {"solver_order": 1, "variant": "bh1"},
    )

    @property
    def order(self) -> int:
        """The order p + 1, but not above 3: the first step is of UniPC-1, whose error is h³."""
        return min(self.solver_order + 1, 3)

    def nfe(self, num_steps: int) -> int:
        """One network evaluation a step."""
        return num_steps

    def __call__(
        self, denoise: Denoise, x: Tensor, levels: Sequence[Rates[float]], draws: Draws
    ) -> Tensor:
        """x (N, C, H, W) at levels[0] -> x at levels[-1]."""
        x0 = denoise(x, levels[0]).x0
        seen: list[tuple[Rates[float], Tensor]] = []
        for k, (now, then) in enumerate(pairwise(levels), start=1):
            if not then.noise:  # infinitely far in log-SNR: nothing can be extrapolated
                return then.signal * x0
            step = math.log(now.sigma / then.sigma)
            points = [(math.log(now.sigma / at.sigma) / step, was - x0) for at, was in seen]
            seen = [(now, x0), *seen][: self.solver_order - 1]
            # The step as if x0 stayed the same: DDIM's.
            x = then.noise / now.noise * x - then.signal * math.expm1(-step) * x0
            ahead = x + then.signal * self._change(step, points)
            if k == len(levels) - 1:
                return ahead
            x0, start = denoise(ahead, then).x0, x0
            x = x + then.signal * self._change(step, [*points, (1.0, x0 - start)])
        return x

    def _change(self, step: float, points: Points) -> Tensor | float:
        """What the change of x0 within a step of h = ``step`` adds to xbar = x / signal."""
        if len(points) == 1:  # then 1/2, whatever h is, is near enough for the order
            size = step if self.variant == "bh1" else -math.expm1(-step)
            return size / 2 / points[0][0] * points[0][1]
        weights = step * _weights(step, [at for at, _ in points])
        return sum((w / at * d for w, (at, d) in zip(weights.tolist(), points, strict=True)), 0.0)


def _weights(step: float, places: Sequence[float]) -> np.ndarray:
    """Weights of differences divided by their places, which integrate polynomials exactly."""
    if not places:
        return np.zeros(0)
    powers = np.vander(places, increasing=True).T
    return np.linalg.solve(powers, _moments(step, len(places)))


def _moments(step: float, count: int) -> list[float]:
    """Integrals over s from 0 to 1 of s^k exp(step * (s - 1)) for k = 1 … count."""
    if step < 1:  # a series: the recursion below would divide small differences by small steps
        return [
            math.factorial(k) * sum((-step) ** j / math.factorial(k + 1 + j) for j in range(20))
            for k in range(1, count + 1)
        ]
    terms = [-math.expm1(-step) / step]
    for k in range(1, count + 1):
        terms.append((1 - k * terms[-1]) / step)  # by parts
    return terms[1:]
