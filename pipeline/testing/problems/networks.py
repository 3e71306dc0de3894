"""Networks for the checks of objectives, and their answers, looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...plugin.contracts import Prediction, Rates
from ...plugin.draws import Draws
from ..core import Wrong, require


class Seen:
    """Some network that remembers what it was shown."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """An answer."""
        self.x, self.rates, self.label, self.calls = x, rates, label, self.calls + 1
        return network(x, rates, label)


class Learning(torch.nn.Module):
    """Two weights and a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.shift, self.bias = (
            torch.nn.Parameter(torch.full((), value, dtype=torch.float64))
            for value in (0.7, 0.2, 0.1)
        )

    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """Affine in them."""
        return self.weight * x + self.shift * rates.over(x).noise + self.bias


@dataclass
class Perfect:
    """Knows x0, and answers so that predict says it: predict is affine in its output."""

    objective: Any
    x0: Tensor

    def __call__(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """Solved for."""
        start, end = (
            predicted(self.objective, lambda x, *_, value=value: x * 0 + value, x, rates).x0
            for value in (0.0, 1.0)
        )
        return (self.x0 - start) / (end - start)


def network(x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
    """Some network, pixel by pixel."""
    return (1.5 * x + rates.over(x).noise).tanh() + 0.3


def constant(t: Tensor) -> Rates[Tensor]:
    """A schedule for which the time is all one."""
    return Rates(0.6 + 0 * t, 0.8 + 0 * t)


def predicted(objective: Any, model: Any, x: Tensor, rates: Rates[Any]) -> Prediction:
    """What predict says. Raises Wrong unless it is a Prediction of the shape of x."""
    found = objective.predict(model, x, rates, None)
    require(
        isinstance(found, Prediction), f"predict returned {type(found).__name__}, not Prediction"
    )
    for what, part in zip(("x0", "eps"), found, strict=True):
        require(part.shape == x.shape, f"{what} of x {tuple(x.shape)} is {tuple(part.shape)}")
    return found  # type: ignore[no-any-return]


def losses(
    objective: Any,
    model: Any,
    x0: Tensor,
    schedule: Callable[[Tensor], Rates[Tensor]],
    given: Draws | None = None,
) -> Mapping[str, Tensor]:
    """What loss says. Raises Wrong unless it is finite scalars."""
    found = objective.loss(model, x0, None, schedule, given or draws(len(x0)))
    require(isinstance(found, Mapping) and "loss" in found, "loss returns no mapping with 'loss'")
    for name, value in found.items():
        require(value.shape == (), f"{name} has the shape {tuple(value.shape)}: not a scalar")
        if not value.isfinite():
            raise Wrong(f"{name} is {value.item()}")
    return found  # type: ignore[no-any-return]


def pairs(rates: Rates[Tensor]) -> list[Rates[float]]:
    """Each as two floats."""
    return [Rates(a, b) for a, b in zip(*(rate.tolist() for rate in rates), strict=True)]


def relative(a: Tensor, b: Tensor) -> float:
    """The largest difference, relative to the largest number (or 1)."""
    return float((a - b).abs().max() / b.abs().max().clamp(min=1))


def images(seed: int = 0, count: int = 6) -> Tensor:
    """Normal numbers, the same for the same seed."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(count, 2, 3, 4, dtype=torch.float64, generator=draw)


def draws(rows: int = 6) -> Draws:
    """For so many images."""
    return Draws(0, "train", range(rows))


def plain(label: Tensor | None) -> Any:
    """For messages."""
    return label.tolist() if isinstance(label, Tensor) else label
