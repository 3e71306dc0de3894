"""From one prediction through another and beyond."""

from __future__ import annotations

import torch

from pipeline import Prediction


def between(worse: Prediction, better: Prediction, scale: float) -> Prediction:
    """Scale 0 is the worse one, 1 the better, and more goes on in the same direction.

    The weights sum to 1, so that x = signal * x0 + noise * eps still holds.
    """
    return Prediction(*(torch.lerp(a, b, scale) for a, b in zip(worse, better, strict=True)))
