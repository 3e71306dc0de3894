"""Denoisers and draws for the checks of samplers: known answers, and an eye on what is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...plugin.draws import Draws
from ...plugin.values import Prediction, Rates
from ..context import Wrong, require
from .analytic import GaussianData, MixtureData


@dataclass
class WatchedDenoiser:
    """Remembers what it said, and looks at what it is asked."""

    denoise: Callable[[Tensor, Rates[float]], Prediction]
    draws: Draws = field(default_factory=lambda: sample_draws(4))
    """What the sampler is to draw from, at the same time."""
    said: list[Prediction] = field(default_factory=list)
    dtype: torch.dtype = torch.float64
    """The dtype of the x that the sampler is given, which the network has to be asked in."""
    first: Tensor | None = None

    def __call__(self, x: Tensor, rates: Rates[float]) -> Prediction:
        """Evaluate once. Raises Wrong for what no network could answer."""
        require(
            isinstance(rates, Rates) and all(isinstance(rate, float) for rate in rates),
            f"it calls denoise(x, rates) with rates {rates!r}; they should be Rates of two floats",
        )
        require(
            rates.noise > 0,
            f"it asks the network about the clean level {rates.signal, rates.noise}, where there "
            "is no noise to predict: the step to it ends in x0",
        )
        self.first = x if self.first is None else self.first
        require(x.shape == self.first.shape, f"it calls denoise with x {tuple(x.shape)}")
        require(x.dtype == self.dtype, f"it calls denoise with x of {x.dtype}, given {self.dtype}")
        self.said.append(self.denoise(x, rates))
        return self.said[-1]


class NoDraws(Draws):
    """The draws of samplers that declare an order."""

    def __init__(self) -> None:
        super().__init__(0, "sample", ())

    def normal(self, like: Tensor) -> Tensor:
        """Raise Wrong."""
        raise Wrong("it declares an order, but draws random numbers: order should be None")

    uniform = normal


class RoundedDraws(Draws):
    """The same numbers in single and in double precision."""

    def normal(self, like: Tensor) -> Tensor:
        """Normal numbers, rounded to float32."""
        return super().normal(like.float()).to(like)

    def uniform(self, like: Tensor) -> Tensor:
        """Uniform numbers, rounded to float32."""
        return super().uniform(like.float()).to(like)


def squash(x: Tensor, rates: Rates[float]) -> Prediction:
    """A denoiser that no data has, pixel by pixel."""
    x0 = (x / rates.c).tanh()
    return Prediction(x0, (x - rates.signal * x0) / rates.noise)


def gaussian() -> GaussianData:
    """Two correlated channels."""
    return GaussianData([0.7, -0.4], [[0.5, 0.3], [0.3, 0.9]])


def mixture() -> MixtureData:
    """One channel with two modes."""
    return MixtureData([0.3, 0.7], [-0.8, 1.0], [0.4, 0.5])


def start_noise(*shape: int) -> Tensor:
    """Normal numbers to start from, always the same."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def sample_draws(count: int) -> Draws:
    """Draws for so many images."""
    return Draws(0, "sample", range(count))
