"""Autoguidance: Karras et al. 2024, https://arxiv.org/abs/2406.02507."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from pipeline import IOOnly, Predict, Prediction, Rates, stage

from .between import between


@stage
class Autoguidance:
    """From the prediction of a worse model towards the network's own and beyond it.

    The worse model is another run's, of the same images: a smaller network, or one that was trained
    for a shorter time. Networks without classes are guided too.
    """

    run: Annotated[str, Field(min_length=1), IOOnly()]
    """The run of the worse model, wherever a run may be: its averaged weights, best checkpoint."""

    needs_labels: ClassVar[bool] = False

    def nfe(self, scale: float) -> int:
        """2, one of each network, and 1 where the scale is 0 or 1."""
        return 1 if scale in (0, 1) else 2

    def __call__(
        self, predict: Predict, x: Tensor, rates: Rates[float], label: Tensor | None, scale: float
    ) -> Prediction:
        """The guided prediction, both for the same label."""
        if scale == 1:
            return predict(x, rates, label)
        worse = predict(x, rates, label, run=self.run)
        return between(worse, predict(x, rates, label), scale) if scale else worse
