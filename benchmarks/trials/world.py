"""What is tried: the scenarios as they go undisturbed, and a trial that disturbs one."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from . import failpoints
from .command import command
from .failpoints import Point
from .work import SCENARIOS, Scenario, Slot, results

Check = Callable[[Slot], list[str]]
"""What is wrong after a trial in this slot."""


@dataclass(frozen=True)
class Undisturbed:
    """What a scenario does when nothing disturbs it."""

    results: Mapping[str, str]
    points: tuple[Point, ...]
    seconds: float


@dataclass(frozen=True)
class Trial:
    """One fault."""

    kind: str
    what: str
    place: str
    """Where it meets the command: the line of the table."""
    check: Check


class World:
    """The undisturbed scenarios, each measured when a kind first asks for it."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self._known: dict[str, Undisturbed] = {}

    def of(self, name: str) -> Undisturbed:
        """How the scenario of this name goes."""
        if name not in self._known:
            self._known[name] = self._measure(SCENARIOS[name])
        return self._known[name]

    def _measure(self, scenario: Scenario) -> Undisturbed:
        work, file = self.slot.begin(scenario.start), self.slot.root / "points"
        file.unlink(missing_ok=True)
        ended = self.slot.do(scenario, partial(failpoints.record, work, file))
        if ended.code:
            raise RuntimeError(f"{scenario.name}, undisturbed: {ended.err}")
        points = tuple(Point(*line.split(" ", 1)) for line in file.read_text().splitlines())
        self.slot.begin(scenario.start)
        plain = self.slot.do(scenario)
        if scenario.final:
            command(scenario.final, work)
        return Undisturbed(results(work), points, plain.seconds)


def place_of(point: Point) -> str:
    """The kind of write that a point belongs to."""
    return next(words for pattern, words in PLACES if re.search(pattern, point.path))


PLACES = (
    (r"artifacts/images", "prepared images"),
    (r"artifacts/model", "model"),
    (r"artifacts/", "features, samples, scores"),
    (r"validations/", "history, best weights, grids"),
    (r"workspaces/.*/\.?step-[^/]*$", "saved training"),
    (r"workspaces", "training's folder"),
    (r"^\.pipeline", "notes and locks"),
    (r"^runs/.*(report|compare)\.html", "report"),
    (r"^runs/\.locks", "notes and locks"),
    (r"^runs", "run folder"),
    (r"^drawn", "drawn samples"),
    (r"", "working folder"),
)


def points(undisturbed: Undisturbed, every: int, seed: str) -> list[tuple[int, Point]]:
    """One of the points that are alike, for all points that are not; of these every so many.

    Each save of a training counts by itself.
    """
    alike: dict[str, list[int]] = {}
    for number, point in enumerate(undisturbed.points):
        steps = point.path if place_of(point) == "saved training" else _any_step(point.path)
        alike.setdefault(f"{point.call} {steps}", []).append(number)
    draw = random.Random(seed)
    chosen = sorted(draw.choice(numbers) for numbers in alike.values())
    return [(number, undisturbed.points[number]) for number in chosen[::every]]


def _any_step(path: str) -> str:
    return re.sub(r"step-\d+", "step-N", path)
