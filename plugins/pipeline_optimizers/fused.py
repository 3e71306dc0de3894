"""Whether torch can change all weights in one pass over memory."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

FUSED = ("cpu", "cuda", "mps", "xpu")


def can_fuse(weights: Iterable[nn.Parameter]) -> bool:
    """Whether these weights are where torch has fused optimizers, which a loss scaler needs too.

    The meta device, on which a network is tried before a run, has none.
    """
    return all(w.is_floating_point() and w.device.type in FUSED for w in weights)
