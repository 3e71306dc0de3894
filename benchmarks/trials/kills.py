"""Kills: at each kind of call, at random times, in each step of a training."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from . import failpoints
from .command import Started
from .laws import mended, said_well
from .work import SCENARIOS, Scenario, Slot, stop_in_step
from .world import Trial, Undisturbed, World, place_of, points

EVERY = {"run": 1, "go on": 10, "run --fresh": 10, "report": 2, "sample": 2, "gc": 2, "compare": 60}
"""Of the points of each scenario, every so many are met: most are the same as another's."""


def failpoint_kills(world: World) -> Iterator[Trial]:
    """A kill at each kind of call; half of those at writes come when half has been written."""
    for name in EVERY:
        for number, point in points(world.of(name), EVERY[name], f"kill {name}"):
            half = point.call == "write" and number % 2 == 0
            act = partial(failpoints.die, number=number, halfway=half)
            where = f"{name}: killed {'halfway' if half else 'before'} {point}"
            check = partial(_killed, SCENARIOS[name], world.of(name).results, act)
            yield Trial("failpoint", where, place_of(point), check)


def _killed(
    scenario: Scenario, expected: Mapping[str, str], act: Callable[[Path], None], slot: Slot
) -> list[str]:
    work = slot.begin(scenario.start)
    ended = slot.do(scenario, partial(act, work))
    problems = [] if ended.code == -signal.SIGKILL else [f"was not met: {ended.code}"]
    return problems + mended(slot, scenario, expected)


TIMES = {"run": 24, "go on": 8, "run --fresh": 12, "report": 4, "sample": 6, "gc": 4, "compare": 6}
"""Kills at random times, in each scenario."""


def timed_kills(world: World) -> Iterator[Trial]:
    """Kills at random times; repeated, they come as near as clocks allow."""
    for name, count in TIMES.items():
        for i in range(count):
            part = random.Random(f"time {name} {i}").random()
            check = partial(_killed_after, SCENARIOS[name], world.of(name), part)
            yield Trial("kill", f"{name}: killed after {part:.2f} of its time", name, check)


def _killed_after(
    scenario: Scenario, undisturbed: Undisturbed, part: float, slot: Slot
) -> list[str]:
    slot.begin(scenario.start)
    ended = Started(scenario.words, slot.work).wait(part * undisturbed.seconds)
    problems = said_well(ended, {0, -signal.SIGKILL})
    return problems + mended(slot, scenario, undisturbed.results)


STOPS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def stops(world: World) -> Iterator[Trial]:
    """A signal in each of 40 steps."""
    scenario, expected = SCENARIOS["40 steps"], world.of("40 steps").results
    for step in range(40):
        signum = STOPS[step % 4]
        check = partial(_stopped, scenario, expected, step, signum)
        yield Trial("step", f"40 steps: {signum.name} in step {step}", signum.name, check)


def _stopped(
    scenario: Scenario, expected: Mapping[str, str], step: int, signum: signal.Signals, slot: Slot
) -> list[str]:
    slot.begin(scenario.start)
    ended = slot.do(scenario, partial(stop_in_step, step, signum))
    code = -signum if signum == signal.SIGKILL else 128 + signum
    return said_well(ended, {code}) + mended(slot, scenario, expected)
