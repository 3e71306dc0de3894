"""Networks for the checks of objectives, and their answers, looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...plugin.contracts import Network, Objective, Schedule
from ...plugin.draws import Draws
from ...plugin.values import Prediction, Rates
from ..context import Wrong, require


class WatchedNetwork:
    """The usual network, which remembers what it was shown.

    ``shown`` has x and rates of every call; ``x``, ``rates`` and ``label`` are those of the last.
    """

    def __init__(self) -> None:
        self.shown: list[tuple[Tensor, Rates[Tensor]]] = []

    def __call__(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """What the usual network says."""
        self.x, self.rates, self.label = x, rates, label
        self.shown.append((x, rates))
        return usual_network(x, rates, label)


class AffineNetwork(torch.nn.Module):
    """A network of two weights and a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.shift, self.bias = (
            torch.nn.Parameter(torch.full((), value, dtype=torch.float64))
            for value in (0.7, 0.2, 0.1)
        )

    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """An answer that is affine in the weights."""
        return self.weight * x + self.shift * rates.over(x).noise + self.bias


@dataclass
class PerfectNetwork:
    """Knows x0, and answers so that ``predict``, which is affine in its output, says it."""

    objective: Objective
    x0: Tensor

    def __call__(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """The output at which the line through two predictions reaches x0."""
        start, end = (
            predicted(self.objective, lambda x, *_, value=value: x * 0 + value, x, rates).x0
            for value in (0.0, 1.0)
        )
        return (self.x0 - start) / (end - start)


def usual_network(x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
    """An answer that no data has, pixel by pixel."""
    return (1.5 * x + rates.over(x).noise).tanh() + 0.3


def constant_rates(t: Tensor) -> Rates[Tensor]:
    """A schedule that does not depend on the time."""
    return Rates(0.6 + 0 * t, 0.8 + 0 * t)


def predicted(
    objective: Objective, network: Network, x: Tensor, rates: Rates[float] | Rates[Tensor]
) -> Prediction:
    """What ``predict`` says. Raises Wrong unless it is a Prediction of the shape of x."""
    prediction: object = objective.predict(network, x, rates, None)
    if not isinstance(prediction, Prediction):
        raise Wrong(f"predict returned {type(prediction).__name__}, not Prediction")
    for name, part in zip(("x0", "eps"), prediction, strict=True):
        require(part.shape == x.shape, f"{name} of x {tuple(x.shape)} is {tuple(part.shape)}")
    return prediction


def losses(
    objective: Objective,
    network: Network,
    x0: Tensor,
    schedule: Schedule,
    draws: Draws | None = None,
) -> Mapping[str, Tensor]:
    """What ``loss`` says. Raises Wrong unless it is finite scalars."""
    values: object = objective.loss(network, x0, None, schedule, draws or train_draws(len(x0)))
    if not isinstance(values, Mapping) or "loss" not in values:
        raise Wrong("loss returns no mapping with 'loss'")
    for name, value in values.items():
        require(value.shape == (), f"{name} has the shape {tuple(value.shape)}: not a scalar")
        if not value.isfinite():
            raise Wrong(f"{name} is {value.item()}")
    return values


def float_rates(rates: Rates[Tensor]) -> list[Rates[float]]:
    """The rates of each image as two floats."""
    return [Rates(a, b) for a, b in zip(*(rate.tolist() for rate in rates), strict=True)]


def relative_difference(a: Tensor, b: Tensor) -> float:
    """The largest difference, relative to the largest number of b (or 1)."""
    return float((a - b).abs().max() / b.abs().max().clamp(min=1))


def normal_images(
    seed: int = 0, count: int = 6, channels: int = 2, side: int | None = None
) -> Tensor:
    """Images of normal numbers, the same for the same seed; 3×4, or square."""
    draw = torch.Generator().manual_seed(seed)
    size = (side, side) if side else (3, 4)
    return torch.randn(count, channels, *size, dtype=torch.float64, generator=draw)


def train_draws(count: int = 6) -> Draws:
    """Draws for so many images."""
    return Draws(0, "train", range(count))


def plain_labels(label: Tensor | None) -> object:
    """The labels for a message."""
    return label.tolist() if isinstance(label, Tensor) else label
