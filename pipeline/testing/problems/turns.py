"""Inputs in their order, or the other way round: no answer should depend on those before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Case = TypeVar("Case")
Answer = TypeVar("Answer")

_backwards = False


def in_turn(answer: Callable[[Case], Answer], cases: Iterable[Case]) -> list[Answer]:
    """The answer to each case, in the order of the cases; the last is asked first ``backwards``."""
    step = -1 if _backwards else 1
    return [answer(case) for case in [*cases][::step]][::step]


@contextmanager
def backwards() -> Iterator[None]:
    """``in_turn`` begins with the last case."""
    global _backwards
    _backwards = True
    try:
        yield
    finally:
        _backwards = False
