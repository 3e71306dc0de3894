"""What must hold after a fault: what a command says, and what its next run comes to."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from pipeline.store.folders import PRIVATE

from .command import Ended, command
from .work import Scenario, Slot, results, users_losses

ALL_IS_DONE = {0}
STAINS = ("Traceback (most recent call last)", "Exception ignored in", "Fatal Python error")
SHOWN = 4
"""Differing results that a failure names."""


def said_well(ended: Ended, codes: Collection[int], error: int = 0) -> list[str]:
    """What is wrong with how a command ended: its code, a traceback, no reason."""
    problems = [f"says {stain!r}" for stain in STAINS if stain in ended.err]
    if problems:
        problems.append(_end(ended))
    if ended.code not in codes:
        problems.append(f"ended with {ended.code}, not {sorted(codes)}: {_end(ended)}")
    elif ended.code in (1, 2) and not ended.err.strip() and not ended.out.strip():
        problems.append(f"ended with {ended.code} and said nothing")
    elif ended.code == 1 and error:
        problems += _reason(ended, error)
    return problems


def _reason(ended: Ended, error: int) -> list[str]:
    """An error of the machine is a line with a path and its cause."""
    told = re.compile(rf"^(failed|.*): \S+: .*{re.escape(os.strerror(error))}", re.MULTILINE)
    if not told.search(ended.err):
        return [f"no line with path and {errno.errorcode[error]}: {_end(ended)}"]
    return []


def _end(ended: Ended) -> str:
    return (ended.err.strip().splitlines() or ["it said nothing"])[-1][:300]


def mended(
    slot: Slot, scenario: Scenario, expected: Mapping[str, str], damaged: str = ""
) -> list[str]:
    """What is wrong after the same command again: results, leftovers, the store, a user's files.

    ``damaged`` is a file that may stay so where nothing needs it any more; it is told.
    """
    problems = [f"again: {p}" for p in said_well(slot.do(scenario), ALL_IS_DONE)]
    if scenario.final:
        final = command(scenario.final, slot.work)
        problems += [f"in the end: {p}" for p in said_well(final, ALL_IS_DONE)]
    problems += _cleaned_up(slot, scenario)
    problems += different(results(slot.work), expected)
    problems += _verified(slot, damaged)
    return problems + users_losses(slot.work, slot.root / f"state-{scenario.start}")


def _verified(slot: Slot, damaged: str) -> list[str]:
    verified = command(("cache", "verify"), slot.work)
    stem = damaged.partition(".")[0]
    told = [line for line in verified.out.splitlines() if not (stem and stem in line)]
    found = told if verified.code == 1 else []
    problems = said_well(verified, {0, 1} if damaged else ALL_IS_DONE)
    return [f"cache verify: {problem[:300]}" for problem in problems + found]


def different(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """The results that differ from those of an undisturbed run."""
    wrong = [name for name, digest in expected.items() if found.get(name) != digest]
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return [f"other results: {', '.join(wrong[:SHOWN])}{more}"] if wrong else []


def _cleaned_up(slot: Slot, scenario: Scenario) -> list[str]:
    """Two hours later, gc removes what a killed process left; in a user's folder the next call."""
    old = time.time() - 7200
    for left in _left(slot.work):
        os.utime(left, (old, old))
    if "--out" in scenario.words:
        command(scenario.words, slot.work)
    cleaned = command(("cache", "gc"), slot.work)
    problems = [f"cache gc: {p}" for p in said_well(cleaned, ALL_IS_DONE)]
    names = [left.relative_to(slot.work).as_posix() for left in _left(slot.work)]
    return problems + [f"left after gc: {re.sub('[0-9a-f]{32,}', 'KEY', name)}" for name in names]


def _left(work: Path) -> list[Path]:
    users = ".draft.tmp"
    return [path for path in work.rglob(PRIVATE) if path.name != users]
