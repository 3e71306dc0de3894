"""Checks of learning-rate schedules: a finite factor, at least 0, by the step alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...plugin.contracts import LrSchedule
from ...plugin.length import of_length
from ..context import Check, Context, Wrong

LENGTH = 1500
"""What a schedule is given that ends with the training."""
STEPS = (*range(2000), *(10**n + k for n in range(3, 10) for k in (-1, 0, 1)))
"""Every step of a short training, and some far beyond the end of any."""


def behaviour(stage: LrSchedule) -> list[float]:
    """All factors."""
    stage = of_length(stage, LENGTH)
    return [stage(step) for step in STEPS]


def gives_finite_factors(stage: LrSchedule, _: Context) -> str:
    """The factors are finite numbers from 0 to 1, and the first step's is not 0."""
    stage = of_length(stage, LENGTH)
    factors = [_factor(stage, step) for step in STEPS]
    if not factors[0]:
        raise Wrong("the factor is 0 in step 0: the first step would change nothing")
    last = f"{factors[-1]:g} in step {STEPS[-1]}"
    return f"{factors[0]:g} in step 0, at most {max(factors):g}, {last}"


def depends_on_the_step_only(stage: LrSchedule, _: Context) -> str:
    """The factor is a function of the step: a resumed training asks for its own step only."""
    stage = of_length(stage, LENGTH)
    ascending = behaviour(stage)
    descending = [stage(step) for step in reversed(STEPS)][::-1]
    for step, up, down in zip(STEPS, ascending, descending, strict=True):
        if up != down:
            raise Wrong(
                f"in step {step} the factor is {up:g} or {down:g}, by what was asked before: "
                "a resumed training would get another learning rate"
            )
    return f"{len(STEPS)} steps up to {STEPS[-1]}, upwards and downwards: the same"


CHECKS: Sequence[Check] = (
    gives_finite_factors,
    depends_on_the_step_only,
)


def _factor(stage: LrSchedule, step: int) -> float:
    """The factor in a step. Raises Wrong unless it is a finite number of at least 0."""
    factor: object = stage(step)
    if isinstance(factor, bool) or not isinstance(factor, (int, float)):
        raise Wrong(f"in step {step} it gives {factor!r}, a {type(factor).__name__}, no float")
    if not math.isfinite(factor):
        raise Wrong(f"in step {step} the factor is {factor}")
    if factor < 0:
        raise Wrong(f"in step {step} the factor is {factor:g}: below 0 the loss is climbed")
    if factor > 1:
        raise Wrong(f"in step {step} the factor is {factor:g}: 1 is the full learning rate")
    return float(factor)
