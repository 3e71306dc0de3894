"""Adam: Kingma & Ba 2015, https://arxiv.org/abs/1412.6980, algorithm 1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from pipeline import OptionSets, stage

from .fused import can_fuse


@stage
class Adam:
    """Adam without weight decay; ``adamw`` has it."""

    lr: Annotated[float, Field(gt=0)] = 1e-3
    """The full learning rate; the lr schedule multiplies it."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.9,
        0.999,
    )
    """Decay of the averages of the gradient and of its square."""
    eps: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the denominator."""

    examples: ClassVar[OptionSets] = ({"lr": 3e-4, "betas": [0.9, 0.99], "eps": 1e-6},)

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """An optimizer of these parameters."""
        weights = list(parameters)
        return torch.optim.Adam(
            weights,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            fused=can_fuse(weights),
        )
