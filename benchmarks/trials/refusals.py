"""A disk that refuses: errors of the system at each kind of call, and a limit on files."""

from __future__ import annotations

import errno
import random
import resource
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from . import failpoints
from .laws import mended, said_well
from .work import SCENARIOS, Scenario, Slot
from .world import Trial, World, place_of, points

REFUSED = {"run": 2, "go on": 16, "run --fresh": 16, "report": 1, "sample": 1, "gc": 1}
REFUSED |= {"compare": 80}


def errors(world: World) -> Iterator[Trial]:
    """ENOSPC, EIO, EFBIG, EROFS or EACCES at each kind of call."""
    for name in REFUSED:
        for number, point in points(world.of(name), REFUSED[name], f"error {name}"):
            said = failpoints.refusals(point)
            error = said[random.Random(f"{name} {number}").randrange(len(said))]
            what = f"{name}: {errno.errorcode[error]} at {point}"
            act = partial(failpoints.refuse, number=number, error=error)
            check = partial(_refused, SCENARIOS[name], world.of(name).results, act, error)
            yield Trial("error", what, place_of(point), check)


def _refused(
    scenario: Scenario,
    expected: Mapping[str, str],
    act: Callable[[Path], None],
    error: int,
    slot: Slot,
) -> list[str]:
    work = slot.begin(scenario.start)
    ended = slot.do(scenario, partial(act, work))
    return said_well(ended, {0, 1}, error) + mended(slot, scenario, expected)


SIZES = (0, 1, 100, 1000, 2048, 4096, 8192, 16384, 32768, 65536)


def limits(world: World) -> Iterator[Trial]:
    """The system's own limit on the size of files: native code meets it too."""
    for name in ("run", "sample", "report"):
        for size in SIZES:
            what = f"{name}: no file above {size} bytes"
            act = partial(_limit, size)
            check = partial(_refused, SCENARIOS[name], world.of(name).results, act, errno.EFBIG)
            yield Trial("limit", what, name, check)


def _limit(size: int, _: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
