"""The running average of a network's weights and buffers (Polyak & Juditsky 1992)."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


class Follower:
    """A copy of a network, ``network``, that moves a part of the way to it whenever it is told."""

    def __init__(self, followed: nn.Module) -> None:
        self.network = deepcopy(followed).eval().requires_grad_(False)
        pairs = list(zip(_tensors(self.network), _tensors(followed), strict=True))
        self._floats = [p for p in pairs if p[0].is_floating_point()]
        self._counts = [p for p in pairs if not p[0].is_floating_point()]

    @torch.no_grad()
    def move(self, share: float) -> None:
        """Go this share of the way, 0 to 1.

        Integer buffers, such as BatchNorm's counter, are copied: averaging counts has no meaning.
        """
        averages, values = ([p[i] for p in self._floats] for i in (0, 1))
        torch._foreach_lerp_(averages, values, share)
        counts, now = ([p[i] for p in self._counts] for i in (0, 1))
        if counts:
            torch._foreach_copy_(counts, now)


class EmaNetwork:
    """A copy of a network, ``average``, whose weights follow those of the network slowly.

    After k updates with decays d_1 … d_k a weight is the sum of its history, where what the network
    had at update i counts (1 - d_i) d_{i+1} … d_k, and its start d_1 … d_k.
    """

    def __init__(self, network: nn.Module, decay: float, warmup: bool) -> None:
        self._follower = Follower(network)
        self.average, self.decay, self.warmup = self._follower.network, decay, warmup

    def decay_at(self, step: int) -> float:
        """The decay of the update that follows training step ``step`` (1 is the first)."""
        return min(self.decay, (1 + step) / (10 + step)) if self.warmup else self.decay

    def update(self, step: int) -> None:
        """Follow the network after training step ``step``."""
        self._follower.move(1 - self.decay_at(step))


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*(p.detach() for p in network.parameters()), *network.buffers()]
