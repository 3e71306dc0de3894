"""What a diagnosis finds, and the error that ends a training with a finding."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import Failed
from ..records import FindingRecord


class Finding(NamedTuple):
    """Something is wrong with a run, as words for the person who started it."""

    name: str
    """Short, and the same every time."""
    what: str
    """What is wrong, with its numbers."""
    do: str
    """What helps."""

    def __str__(self) -> str:
        return f"{self.name}: {self.what} {self.do}"

    def record(self) -> FindingRecord:
        """The finding as plain data."""
        return {"name": self.name, "what": self.what, "do": self.do}


class Diverged(Failed):
    """Training came to numbers that are not finite."""

    def __init__(self, what: str, step: int) -> None:
        self.finding = Finding(
            "not finite",
            f"{what} by step {step}; the last checkpoint before stands.",
            "Lower train.optimizer.lr or set train.clip_gradients.",
        )
        super().__init__(f"{self.finding.what} {self.finding.do}")
