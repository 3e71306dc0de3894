"""Warm-up, stable, decay: Hu et al. 2024, https://arxiv.org/abs/2404.06395, section 4, with the
decay of Hägele et al. 2024, https://arxiv.org/abs/2405.18392, eq. 1.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from pipeline import OptionSets, stage


@stage
class WarmupStableDecay:
    """Rises linearly for ``warmup_steps``, stays, and falls in the last part of the training.

    There the factor is 1 - sqrt(share of the decay that is done); after ``total_steps`` it stays 0.
    """

    total_steps: Annotated[int, Field(ge=1)] | None = None
    """Where the learning rate reaches 0; null: at the end of the training. So another length is
    another training."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps until the full learning rate."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.3
    """The part of all steps in which it falls."""

    examples: ClassVar[OptionSets] = (
        {"total_steps": 1000},
        {"total_steps": 500, "warmup_steps": 50, "decay": 0.1},
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.total_steps is not None and self.warmup_steps > self.total_steps * (1 - self.decay):
            raise ValueError("warmup_steps and decay should leave each other room in total_steps")
        return self

    def __call__(self, step: int) -> float:
        """The factor of the learning rate in step 0, 1, …"""
        if self.total_steps is None:
            raise ValueError("total_steps is not known: the engine fills it in before training")
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        left = max(0.0, (self.total_steps - step) / (self.total_steps * self.decay))
        return 1.0 if left >= 1 else 1 - (1 - left) ** 0.5
