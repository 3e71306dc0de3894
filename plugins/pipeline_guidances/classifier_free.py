"""Classifier-free guidance: Ho & Salimans 2022, https://arxiv.org/abs/2207.12598."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pipeline import NO_CLASS, Predict, Prediction, Rates, stage

from .between import between


@stage
class ClassifierFree:
    """From the prediction without a label towards that for the label, and beyond it: eq. 6, with a
    scale of 1 + w.
    """

    needs_labels: ClassVar[bool] = True

    def nfe(self, scale: float) -> int:
        """2, and 1 where the scale is 0 or 1."""
        return 1 if scale in (0, 1) else 2

    def __call__(
        self, predict: Predict, x: Tensor, rates: Rates[float], label: Tensor | None, scale: float
    ) -> Prediction:
        """The guided prediction; without labels the network's own."""
        if label is None or scale == 1:
            return predict(x, rates, label)
        free = predict(x, rates, torch.full_like(label, NO_CLASS))
        return between(free, predict(x, rates, label), scale) if scale else free
