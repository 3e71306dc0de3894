"""Networks and draws for the checks of samplers: known answers, and an eye on what is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...plugin.contracts import Prediction, Rates
from ...plugin.draws import Draws
from ..core import Wrong, require
from .analytic import GaussianData, MixtureData


@dataclass
class Network:
    """Remembers what it said, and looks at what it is asked."""

    denoise: Callable[[Tensor, Rates[float]], Prediction]
    draws: Draws = field(default_factory=lambda: draws(4))
    seen: list[Prediction] = field(default_factory=list)
    shape: torch.Size | None = None

    def __call__(self, x: Tensor, rates: Rates[float]) -> Prediction:
        """One evaluation. Raises Wrong for what no network could answer."""
        require(
            isinstance(rates, Rates) and all(isinstance(r, float) for r in rates),
            f"it calls denoise(x, rates) with rates {rates!r}; they should be Rates of two floats",
        )
        require(
            rates.noise > 0,
            f"it asks the network about the clean level {rates.signal, rates.noise}, where there "
            "is no noise to predict: the step to it ends in x0",
        )
        self.shape = self.shape or x.shape
        require(x.shape == self.shape, f"it calls denoise with x {tuple(x.shape)}")
        self.seen.append(self.denoise(x, rates))
        return self.seen[-1]


class NoDraws:
    """For samplers that declare an order."""

    def normal(self, like: Tensor) -> Tensor:
        """Never."""
        raise Wrong("it declares an order, but draws random numbers: order should be None")

    uniform = normal


class Rounded(Draws):
    """The same numbers in both precisions."""

    def normal(self, like: Tensor) -> Tensor:
        """Rounded to float32."""
        return super().normal(like.float()).to(like)

    def uniform(self, like: Tensor) -> Tensor:
        """Rounded to float32."""
        return super().uniform(like.float()).to(like)


def squash(x: Tensor, rates: Rates[float]) -> Prediction:
    """Some network, pixel by pixel."""
    x0 = (x / rates.c).tanh()
    return Prediction(x0, (x - rates.signal * x0) / rates.noise)


def gaussian() -> GaussianData:
    """Two correlated channels."""
    return GaussianData([0.7, -0.4], [[0.5, 0.3], [0.3, 0.9]])


def mixture() -> MixtureData:
    """Two modes, one channel."""
    return MixtureData([0.3, 0.7], [-0.8, 1.0], [0.4, 0.5])


def normal(*shape: int) -> Tensor:
    """The start's noise, always the same."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def draws(rows: int) -> Draws:
    """For so many images."""
    return Draws(0, "sample", range(rows))
