"""Losses of training steps, summed until somebody wants to know."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from ..diagnosis.finding import Diverged


class LossSums:
    """Sums of each loss over the steps since the last regular validation.

    They stay on the device: to read them in every step would make a GPU wait.
    """

    def __init__(
        self,
        sums: Mapping[str, float] | None = None,
        count: int = 0,
        highest: float | None = None,
    ) -> None:
        self._sums: dict[str, float | Tensor] = dict(sums or {})
        self.count = count
        self._highest: float | Tensor = -math.inf if highest is None else highest

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Count one more step; ``loss`` is among its losses."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach()
        self.count += 1
        self._highest = losses["loss"].detach().clamp(min=self._highest)

    def means(self, step: int) -> dict[str, float]:
        """The mean of each loss; empty before the first step. Raises Diverged if one is not finite.

        ``step`` is the training's, for the message.
        """
        sums = {name: float(value) for name, value in self._sums.items()}
        if not all(math.isfinite(value) for value in sums.values()):
            raise Diverged(f"the loss became {sums['loss']}", step)
        return {name: value / self.count for name, value in sums.items()}

    @property
    def highest(self) -> float | None:
        """The highest ``loss`` of one step; None before the first."""
        return float(self._highest) if self.count else None

    def state(self) -> dict[str, object]:
        """The arguments that make these sums again, for a checkpoint."""
        sums = {name: float(value) for name, value in self._sums.items()}
        return {"sums": sums, "count": self.count, "highest": self.highest}


def refuse_diverged(weights: Mapping[str, Tensor], step: int) -> None:
    """Raise Diverged for weights that are not finite: the loss tells only a step later.

    Their averages and all buffers are looked at too: a checkpoint of them would never go on.
    """
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise Diverged(f"{name.partition('.')[2]} is no longer finite", step)
