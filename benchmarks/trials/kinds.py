"""The kinds of faults: each gives its trials, numbered, from fixed seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .crowds import crowds
from .damage import damages
from .kills import failpoint_kills, stops, timed_kills
from .refusals import errors, limits
from .world import Trial, World

KINDS: dict[str, Callable[[World], Iterator[Trial]]] = {
    "failpoint": failpoint_kills,
    "kill": timed_kills,
    "step": stops,
    "error": errors,
    "limit": limits,
    "damage": damages,
    "crowd": crowds,
}
