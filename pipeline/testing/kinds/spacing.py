"""Checks of spacings: times that fall from 1, in float64, with every schedule that it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import InputError
from ...plugin.contracts import Schedule, Spacing
from ...plugin.values import Rates
from ...recipe.build import build_stage
from ..context import Check, Context, Wrong, require
from ..problems.analytic import SCHEDULES, karras, widest
from ..problems.turns import in_turn
from ..same import same

STEPS = (1, 2, 3, 7, 20, 21, 50, 333, 1000)
"""Numbers of steps that are tried with each schedule."""
EVERY = range(1, 129)
"""Numbers of steps that are tried with the first one: rounding may add a time to few of them."""
EXTREMES = {"VE from sigma 80": karras, "the widest VP": widest}
"""Schedules that lose and keep as much of an image as any."""


ENDLESS: dict[str, Schedule] = {
    "at both ends": lambda t: Rates(1 - t, t),
    "at t = 0": lambda t: Rates(1 - 0.9 * t, t),
    "at t = 1": lambda t: Rates(1 - t, 0.1 + 0.9 * t),
}
"""Schedules whose log-SNR is infinite at one end or at both."""


def behaviour(spacing: Spacing) -> list[Tensor | str]:
    """The times for three schedules; what is refused counts with its message."""
    cases = product(SCHEDULES.values(), (1, 2, 7))
    return in_turn(lambda case: _times(spacing, *case), cases)


def takes_schedules(spacing: Spacing, context: Context) -> str:
    """It works with schedules whose log-SNR is finite; those that it refuses are told."""
    taken: dict[str, None] = {}
    refused: dict[str, str] = {}
    for answer in _answers(spacing, context):
        if isinstance(answer.times, str):
            reason = f"{answer.num_steps} steps: {answer.times}"
            refused.setdefault(answer.schedule, f"refuses {answer.schedule}, {reason}")
        else:
            taken[answer.schedule] = None
    names = [name for name in taken if name not in refused]
    require(bool(names), f"it takes no schedule: {'; '.join(refused.values())}")
    return "; ".join([", ".join(names), *refused.values()])


def gives_a_float64_time_for_each_level(spacing: Spacing, context: Context) -> str:
    """The times are a float64 tensor of shape (num_steps,), finite."""
    for where, num_steps, times in _taken(spacing, context):
        if not isinstance(times, Tensor):
            raise Wrong(f"it gives a {type(times).__name__}, not a tensor ({where})")
        require(times.dtype == torch.float64, f"the times are {times.dtype}, not float64 ({where})")
        require(
            tuple(times.shape) == (num_steps,),
            f"the times have the shape {tuple(times.shape)}, not {(num_steps,)}: one for each "
            f"noisy level, without the clean one ({where})",
        )
        require(bool(times.isfinite().all()), f"a time is NaN or infinite ({where})")
    return f"for {_list(STEPS)} steps, and all up to {EVERY[-1]}"


def starts_at_one(spacing: Spacing, context: Context) -> str:
    """The first time is exactly 1, where all is noise; a single level is there."""
    for where, _, times in _taken(spacing, context):
        first = float(times[0])
        require(first == 1, f"the first time is {first!r}, not exactly 1 ({where})")
    return "exactly"


def falls_strictly(spacing: Spacing, context: Context) -> str:
    """Each time is less than the one before it: a sampler divides by the difference."""
    smallest = 1.0
    for where, _, times in _taken(spacing, context):
        for k, step in enumerate((-times.diff()).tolist()):
            require(
                step > 0,
                f"time {k + 1} is {float(times[k + 1])!r} after {float(times[k])!r}: it should "
                f"fall ({where})",
            )
            smallest = min(smallest, step)
    return f"by at least {smallest:.1g}"


def stays_between_0_and_1(spacing: Spacing, context: Context) -> str:
    """No time lies beyond the schedule's ends."""
    last = 1.0
    for where, _, times in _taken(spacing, context):
        low, high = float(times.min()), float(times.max())
        require(low >= 0 and high <= 1, f"times go from {high!r} to {low!r} ({where})")
        last = min(last, low)
    return f"down to t = {last:.3g}"


def refuses_what_it_cannot_divide(spacing: Spacing, context: Context) -> str:
    """With a log-SNR without end it raises InputError, or gives finite times that fall from 1."""
    for (where, schedule), num_steps in product(ENDLESS.items(), (1, 2, 7)):
        try:
            times = _times(spacing, schedule, num_steps)
        except Exception as error:
            what = f"it raised {type(error).__name__}: {error}"
        else:
            if isinstance(times, str):
                continue
            ends = float(times[0]) == 1 and float(times[-1]) >= 0
            if ends and bool((times.diff() < 0).all()):  # False for NaN
                continue
            what = f"it gives {times.tolist()}"
        raise Wrong(
            f"{what} for a schedule whose log-SNR is infinite {where} ({num_steps} steps): raise "
            "InputError unless it divides that"
        )
    return f"a log-SNR that is infinite {' or '.join(ENDLESS)} is refused or divided"


def keeps_nothing_it_gave(spacing: Spacing, context: Context) -> str:
    """Whoever changes the times in place, or the rates it was shown, changes no later answer."""
    watched = _WatchedSchedule(next(iter(SCHEDULES.values())))
    times = _times(spacing, watched, 7)
    if isinstance(times, str):
        return ""
    require(same(watched.given, watched.copies), "it changes the schedule's rates in place")
    before = times.clone()
    times.zero_()
    require(
        same(_times(spacing, watched, 7), before),
        "when the caller changes the times in place, the next call gives these: make them anew",
    )
    return "its times are new for each call"


CHECKS: Sequence[Check] = (
    takes_schedules,
    gives_a_float64_time_for_each_level,
    starts_at_one,
    falls_strictly,
    stays_between_0_and_1,
    refuses_what_it_cannot_divide,
    keeps_nothing_it_gave,
)


class _Answer(NamedTuple):
    """What a spacing says to one question."""

    schedule: str
    num_steps: int
    times: Tensor | str
    """Text: why it refuses."""


class _WatchedSchedule:
    """A schedule that remembers its rates, and what they were."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.given: list[Rates[Tensor]] = []
        self.copies: list[Rates[Tensor]] = []

    def __call__(self, t: Tensor) -> Rates[Tensor]:
        rates = self.schedule(t)
        self.given.append(rates)
        self.copies.append(Rates(*(rate.clone() for rate in rates)))
        return rates


def _schedules(context: Context) -> dict[str, Schedule]:
    """The kit's schedules and all registered ones whose log-SNR falls between finite values."""
    schedules: dict[str, Schedule] = {**SCHEDULES, **EXTREMES}
    for entry in context.registry.entries("schedule"):
        try:
            schedule: Schedule = build_stage(context.registry, "schedule", entry.name)
        except InputError:  # it has options without a default, or two packages have it
            continue
        start, end = schedule(torch.tensor([1.0, 0.0], dtype=torch.float64)).log_snr.tolist()
        if -torch.inf < start < end < torch.inf:
            schedules[entry.name] = schedule
    return schedules


def _answers(spacing: Spacing, context: Context) -> list[_Answer]:
    """The times for each schedule and number of steps; computed once for all checks."""
    return context.once(
        ("times", context.index_of(spacing)),
        lambda: [
            _Answer(name, num_steps, _times(spacing, schedule, num_steps))
            for i, (name, schedule) in enumerate(_schedules(context).items())
            for num_steps in (*STEPS, *(() if i else EVERY))
        ],
    )


def _taken(spacing: Spacing, context: Context) -> Iterator[tuple[str, int, Tensor]]:
    """The times that are not refused, with words for where and the number of steps."""
    for name, num_steps, times in _answers(spacing, context):
        if not isinstance(times, str):
            yield f"{name}, num_steps = {num_steps}", num_steps, times


def _times(spacing: Spacing, schedule: Schedule, num_steps: int) -> Tensor | str:
    """The times, or why the spacing refuses them."""
    try:
        return spacing(schedule, num_steps)
    except InputError as error:
        return str(error)


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
