"""What a comparison asks for, and what all its variants are trained and scored with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..artifacts.session import Session
from ..errors import InputError


@dataclass(frozen=True)
class Setting:
    """A comparison's options beside its variants."""

    session: Session
    plugins: tuple[Path, ...]
    device: str
    """As it was given: ``auto`` may be another device where a trial runs."""
    metrics: Sequence[str]
    """As the shell gives them; none: those of the recipes."""
    seeds: int | None
    num_steps: int | None
    """Sampling steps of all; None: those of the recipes."""
    effect: float | None
    """The difference that is worth seeing; None: a tenth of the first's score."""
    budget: Budget | None


@dataclass(frozen=True)
class Budget:
    """How much training each variant gets: ``steps`` or ``minutes``."""

    unit: str
    amount: float

    @classmethod
    def parse(cls, text: str) -> Budget:
        """From ``steps=2000`` or ``minutes=10``. Raises InputError for anything else."""
        given = re.fullmatch(r"(steps|minutes)=(\d+(?:\.\d+)?)", text.strip())
        if not given or not float(given[2]) or (given[1] == "steps" and "." in given[2]):
            raise InputError(f"--budget {text}: should be like steps=2000 or minutes=10")
        return cls(given[1], float(given[2]))

    def __str__(self) -> str:
        return f"{self.amount:,.10g} {self.unit}"
