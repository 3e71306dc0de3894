"""Crowds: 16 processes that begin at once."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.store import locks

from .command import Started, command
from .laws import mended, said_well
from .work import RUN, SCENARIOS, Slot
from .world import Trial, World

OTHER = (*RUN, "--set", "sample.num_steps=3")
FRESH = (*RUN, "--fresh")
NAMED = ((*RUN, "--name", "same"), (*OTHER, "--name", "same"))


@dataclass(frozen=True)
class Crowd:
    """Commands at once."""

    what: str
    words: tuple[tuple[str, ...], ...]
    codes: tuple[int, ...] = (0,)
    gc: bool = False
    locks: bool = True
    """Whether locks lock."""
    killed: int = 0
    """So many of them are killed at random times."""


CROWDS = (
    Crowd("16 of one recipe", (RUN,) * 16),
    Crowd("two recipes, gc beside", (RUN, OTHER) * 8, gc=True),
    Crowd("--fresh beside", (RUN, RUN, RUN, FRESH) * 4),
    Crowd("two recipes under one name", NAMED * 8, (0, 2)),
    Crowd("16, of which 5 are killed", (RUN,) * 16, killed=5),
    Crowd("16 of one recipe", (RUN,) * 16, locks=False),
    Crowd("16, of which 5 are killed", (RUN,) * 16, locks=False, killed=5),
)


def crowds(world: World) -> Iterator[Trial]:
    """16 processes that begin at once, with locks and with locks that lock nothing."""
    for crowd in CROWDS:
        what = "locks" if crowd.locks else "locks that lock nothing"
        check = partial(_crowded, world.of("run").results, crowd)
        yield Trial("crowd", f"{crowd.what}, {what}", what, check)


def _crowded(expected: Mapping[str, str], crowd: Crowd, slot: Slot) -> list[str]:
    work, scenario = slot.begin("nothing"), SCENARIOS["run"]
    waiting, go = os.pipe()

    def before() -> None:
        os.close(go)
        os.read(waiting, 1)  # until all are there
        if not crowd.locks:
            locks._claimed = _no_lock

    members = [Started(words, work, before) for words in crowd.words]
    os.close(go)
    os.close(waiting)
    draw = random.Random(crowd.what)
    times = [draw.random() * 8 for _ in range(crowd.killed)]
    problems = _cleaned_beside(members[-1], work) if crowd.gc else []
    for i, member in enumerate(members):
        killed = times[i] if i < crowd.killed else None
        codes = {*crowd.codes} | ({-signal.SIGKILL} if killed else set())
        problems += [f"process {i}: {p}" for p in said_well(member.wait(killed), codes)]
    return problems + mended(slot, scenario, expected)


def _cleaned_beside(member: Started, work: Path) -> list[str]:
    """Clean up again and again, as long as this process is at work."""
    problems = []
    while member.is_running():
        ended = command(("cache", "gc"), work)
        problems += [f"gc: {p}" for p in said_well(ended, {0, 2})]
    return problems


@contextmanager
def _no_lock(*_: Any) -> Iterator[None]:
    yield
