"""AdamW: Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101, algorithm 2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import nn

from pipeline import OptionSets, stage

from .fused import can_fuse


@stage
class AdamW:
    """Adam with decoupled weight decay; torch multiplies the decay by the learning rate."""

    lr: Annotated[float, Field(gt=0)] = 1e-3
    """The full learning rate; the lr schedule multiplies it."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Each step takes lr × weight_decay of every weight away."""
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (
        0.9,
        0.999,
    )
    """Decay of the averages of the gradient and of its square."""
    eps: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the denominator."""

    examples: ClassVar[OptionSets] = (
        {"lr": 3e-4, "weight_decay": 0.01, "betas": [0.9, 0.99], "eps": 1e-6},
    )

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """An optimizer of these parameters."""
        weights = list(parameters)
        return torch.optim.AdamW(
            weights,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=can_fuse(weights),
        )
