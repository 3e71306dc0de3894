"""Learning-rate schedules that end with the training: the engine gives them its length."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import TypeVar

from .contracts import LrSchedule

T = TypeVar("T", bound=LrSchedule)

TOTAL = "total_steps"
"""The option that holds the length."""


def total_steps(schedule: LrSchedule) -> int | None:
    """The length that it is made for; None where it has no such option, or waits for one."""
    value: object = getattr(schedule, TOTAL, None)
    return value if isinstance(value, int) else None


def waits_for_length(schedule: LrSchedule) -> bool:
    """Whether it has the option, and no number there."""
    return hasattr(schedule, TOTAL) and total_steps(schedule) is None


def of_length(schedule: T, steps: int) -> T:
    """The same schedule, made for so many steps if it waits for that. ValueError if too few."""
    if not waits_for_length(schedule) or not is_dataclass(schedule):
        return schedule
    made: T = replace(schedule, **{TOTAL: steps})
    return made
