"""Cosine annealing: Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983, eq. 5."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from pipeline import OptionSets, stage


@stage
class Cosine:
    """Rises linearly for ``warmup_steps``, falls along half a cosine to 0 at ``total_steps``.

    ``total_steps`` is its own option, not the training's length: training that goes on for longer
    must not change what it did before. After ``total_steps`` the factor stays 0.
    """

    total_steps: Annotated[int, Field(ge=1)]
    """Where the learning rate reaches 0."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps until the full learning rate."""

    examples: ClassVar[OptionSets] = (
        {"total_steps": 1000},
        {"total_steps": 500, "warmup_steps": 50},
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.warmup_steps >= self.total_steps:
            raise ValueError("warmup_steps should be smaller than total_steps")
        return self

    def __call__(self, step: int) -> float:
        """The factor of the learning rate in step 0, 1, …"""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        return (1 + math.cos(math.pi * min(done, 1.0))) / 2
