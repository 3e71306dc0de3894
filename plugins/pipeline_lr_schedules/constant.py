"""A learning rate that stays."""

from __future__ import annotations

from pipeline import stage


@stage
class Constant:
    """The optimizer's learning rate in every step."""

    def __call__(self, step: int) -> float:
        """Always 1."""
        return 1.0
