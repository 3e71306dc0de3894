"""Suggests what somebody meant who misspelt a name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches


def nearest(name: str, possible: Iterable[str]) -> str | None:
    """The possible name that is most similar to ``name``; None where none is similar."""
    return next(iter(get_close_matches(name, list(possible), 1)), None)


def did_you_mean(name: str, possible: Iterable[str], quote: Callable[[str], str] = repr) -> str:
    """``; did you mean 'bilinear'?``, to end a message with; empty where no name is similar."""
    near = nearest(name, possible)
    return "" if near is None else f"; did you mean {quote(near)}?"
