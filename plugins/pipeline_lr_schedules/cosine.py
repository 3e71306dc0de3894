"""Cosine annealing: Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983, eq. 5."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from pipeline import OptionSets, stage


@stage
class Cosine:
    """Rises linearly for ``warmup_steps``, falls along half a cosine to 0 at ``total_steps``.

    After ``total_steps`` the factor stays 0.
    """

    total_steps: Annotated[int, Field(ge=1)] | None = None
    """Where the learning rate reaches 0; null: at the end of the training. So another length is
    another training."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps until the full learning rate."""

    examples: ClassVar[OptionSets] = (
        {"total_steps": 1000},
        {"total_steps": 500, "warmup_steps": 50},
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.total_steps is not None and self.warmup_steps >= self.total_steps:
            raise ValueError("warmup_steps should be smaller than total_steps")
        return self

    def __call__(self, step: int) -> float:
        """The factor of the learning rate in step 0, 1, …"""
        if self.total_steps is None:
            raise ValueError("total_steps is not known: the engine fills it in before training")
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        return (1 + math.cos(math.pi * min(done, 1.0))) / 2
