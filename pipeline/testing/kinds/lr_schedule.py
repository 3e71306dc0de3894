"""What a learning-rate schedule has to keep: a finite factor >= 0 of the step alone."""

from __future__ import annotations

import math
from typing import Any

from ...plugin.contracts import LrSchedule
from ..core import Context, Wrong

STEPS = (*range(2000), *(10**n + k for n in range(3, 10) for k in (-1, 0, 1)))
"""Every step of a short training, and some far beyond the end of any."""


def behaviour(stage: LrSchedule) -> Any:
    """All factors."""
    return [stage(step) for step in STEPS]


def gives_finite_factors(stage: LrSchedule, _: Context) -> str:
    """Finite numbers, none below 0."""
    found = []
    for step in STEPS:
        factor: Any = stage(step)
        if isinstance(factor, bool) or not isinstance(factor, (int, float)):
            raise Wrong(f"in step {step} it gives {factor!r}, a {type(factor).__name__}, no float")
        if not math.isfinite(factor):
            raise Wrong(f"in step {step} the factor is {factor}")
        if factor < 0:
            raise Wrong(f"in step {step} the factor is {factor:g}: below 0 the loss is climbed")
        found.append(float(factor))
    if not any(found):
        raise Wrong("the factor is 0 in every step: nothing would be learnt")
    return f"{found[0]:g} in step 0, at most {max(found):g}, {found[-1]:g} in step {STEPS[-1]}"


def depends_on_the_step_only(stage: LrSchedule, _: Context) -> str:
    """A function of the step: a training that is resumed asks for its own step only."""
    ascending = behaviour(stage)
    descending = [stage(step) for step in reversed(STEPS)][::-1]
    for step, one, other in zip(STEPS, ascending, descending, strict=True):
        if one != other:
            raise Wrong(
                f"in step {step} the factor is {one:g} or {other:g}, by what was asked before: "
                "a resumed training would get another learning rate"
            )
    return f"{len(STEPS)} steps up to {STEPS[-1]}, upwards and downwards: the same"


CHECKS = (
    gives_finite_factors,
    depends_on_the_step_only,
)
