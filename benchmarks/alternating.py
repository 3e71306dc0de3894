"""What is compared takes turns in one run, so that a machine busy with other things slows all."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

Seconds = Callable[[], float]
"""Does something once and returns how many seconds it took."""


def positive(text: str) -> int:
    """A whole number from 1, of an option."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} should be 1 or more")
    return number


@contextmanager
def refusing(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Tell of options that stages refuse, in a line, with exit code 2."""
    from pipeline import InputError  # here: a start without this project is measured too

    try:
        yield
    except InputError as error:
        parser.error(str(error))


def timed(work: Callable[[], object]) -> Seconds:
    def seconds() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return seconds


def alternate(steps: Mapping[str, Seconds], rounds: int) -> dict[str, list[float]]:
    """The seconds of each step in each round, after one round that does not count.

    Every other round goes backwards, so that nothing always comes after the same neighbour.
    """
    for step in steps.values():
        step()
    taken: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    for _ in range(rounds):
        for name in order:
            taken[name].append(steps[name]())
        order.reverse()
    return taken


def ratio(a: Sequence[float], b: Sequence[float]) -> str:
    """The median ratio of pairs, with its quartiles."""
    pairs = [x / y for x, y in zip(a, b, strict=True)]
    if len(pairs) == 1:
        return f"{pairs[0]:.3f}"
    low, middle, high = statistics.quantiles(pairs, n=4, method="inclusive")
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """As Markdown."""
    for cells in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(cells)} |", flush=True)
