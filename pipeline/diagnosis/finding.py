"""What a diagnosis finds."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """Something is wrong with a run, as words for the person who started it."""

    name: str
    """Short, and the same every time."""
    what: str
    """With its numbers."""
    do: str
    """What helps."""

    def __str__(self) -> str:
        return f"{self.name}: {self.what} {self.do}"
