"""Checks of learning-rate schedules: a finite factor, at least 0, by the step alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from ...plugin.contracts import LrSchedule
from ...plugin.length import of_length
from ...plugin.options import atoms, options
from ..context import Check, Context, Wrong
from ..problems.turns import in_turn

LENGTH = 1500
"""What a schedule is given that ends with the training."""
SHORT = (1, 2, 7)
"""Lengths of trainings that end within any warm-up."""
STEPS = (*range(2000), *(10**n + k for n in range(3, 10) for k in (-1, 0, 1)))
"""Every step of a short training, and some far beyond the end of any."""


def behaviour(stage: LrSchedule) -> list[float]:
    """All factors."""
    stage = of_length(stage, LENGTH)
    return in_turn(stage, STEPS)


def gives_finite_factors(stage: LrSchedule, _: Context) -> str:
    """The factors are finite numbers from 0 to 1, and the first step's is not 0."""
    _right_when_short(stage, "")
    for name, option in options(type(stage)).items():
        if int in atoms(option.hint):
            with suppress(ValueError):  # beyond its limits
                long = replace(stage, **{option.field: 10 * LENGTH})  # type: ignore[type-var]
                _right_when_short(long, f" with {name}={10 * LENGTH}")
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


def _right_when_short(stage: LrSchedule, options: str) -> None:
    """Raise Wrong for a wrong factor in trainings that end within any warm-up, and some longer."""
    for length in SHORT:
        shorter = of_length(stage, length)
        if not options and not _factor(shorter, 0, f" of {length}"):
            raise Wrong(
                f"the factor is 0 in step 0 of {length}: the first step would change nothing"
            )
        for step in (*range(2 * length), LENGTH, 10 * LENGTH):
            _factor(shorter, step, f" of {length}{options}")


def _factor(stage: LrSchedule, step: int, of: str = "") -> float:
    """The factor in a step. Raises Wrong unless it is a finite number of at least 0."""
    factor: object = stage(step)
    if isinstance(factor, bool) or not isinstance(factor, (int, float)):
        raise Wrong(f"in step {step}{of} it gives {factor!r}, a {type(factor).__name__}, no float")
    if not math.isfinite(factor):
        raise Wrong(f"in step {step}{of} the factor is {factor}")
    if factor < 0:
        raise Wrong(f"in step {step}{of} the factor is {factor:g}: below 0 the loss is climbed")
    if factor > 1:
        raise Wrong(f"in step {step}{of} the factor is {factor:g}: 1 is the full learning rate")
    return float(factor)
