"""Data whose denoiser and sampling ODE are known exactly, and levels to sample them at.

x = signal * x0 + noise * eps is the noisy image, x0 the clean one, eps standard normal, t the time
from 0 (clean) to 1 (noise); the probability-flow ODE is that of Song et al. 2021, arXiv:2011.13456.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...plugin.values import Prediction, Rates

Levels = list[Rates[float]]
"""The rates from level to level of a sampling."""


class GaussianData:
    """Images (N, C, H, W) of independent pixels, the channels of each N(mean, covariance)."""

    def __init__(self, mean: Sequence[float], covariance: Sequence[Sequence[float]]) -> None:
        self.mean = torch.tensor(mean, dtype=torch.float64)
        self.covariance = torch.tensor(covariance, dtype=torch.float64)
        self.calls = 0

    def at(self, rates: Rates[float]) -> tuple[Tensor, Tensor]:
        """Mean (C,) and covariance (C, C) of x."""
        identity = torch.eye(len(self.mean), dtype=torch.float64)
        return (
            rates.signal * self.mean,
            rates.signal**2 * self.covariance + rates.noise**2 * identity,
        )

    def draw(self, z: Tensor, rates: Rates[float]) -> Tensor:
        """The x of these rates from a standard normal z.

        For one z and all rates this is also the exact solution of the probability-flow ODE (Song et
        al., eq. 13): along it each principal axis keeps its standardised coordinate.
        """
        mean, covariance = self.at(rates)
        values, axes = torch.linalg.eigh(covariance)
        return over_channels(axes * values.sqrt() @ axes.T, z) + mean[:, None, None]

    def denoise(self, x: Tensor, rates: Rates[float]) -> Prediction:
        """The expected x0, E[x0 | x], and the eps that goes with it; one network evaluation."""
        self.calls += 1
        mean, covariance = self.at(rates)
        gain = rates.signal * self.covariance @ torch.linalg.inv(covariance)
        x0 = over_channels(gain, x - mean[:, None, None]) + self.mean[:, None, None]
        return Prediction(x0, (x - rates.signal * x0) / rates.noise)


class MixtureData:
    """Images (N, 1, H, W) of independent pixels, each from a mixture of Gaussians."""

    def __init__(
        self, weights: Sequence[float], means: Sequence[float], deviations: Sequence[float]
    ) -> None:
        parts = (weights, means, deviations)
        self.weights, self.means, self.deviations = (
            torch.tensor(part, dtype=torch.float64) for part in parts
        )
        self.calls = 0

    def _at(self, rates: Rates[float]) -> tuple[Tensor, Tensor]:
        """Means and deviations of the mixture's components in x."""
        variances = (rates.signal * self.deviations) ** 2 + rates.noise**2
        return rates.signal * self.means, variances.sqrt()

    def at(self, rates: Rates[float]) -> tuple[Tensor, Tensor]:
        """Mean (1,) and covariance (1, 1) of x."""
        means, deviations = self._at(rates)
        mean = (self.weights * means).sum()
        variance = (self.weights * (deviations**2 + (means - mean) ** 2)).sum()
        return mean[None], variance[None, None]

    def below(self, x: Tensor, rates: Rates[float]) -> Tensor:
        """The probability of a smaller number than x."""
        means, deviations = self._at(rates)
        z = (x[..., None] - means) / deviations
        less: Tensor = (self.weights * torch.special.ndtr(z)).sum(-1)
        return less

    def draw(self, z: Tensor, rates: Rates[float]) -> Tensor:
        """The x of these rates from a standard normal z; it grows with z.

        For one z and all rates this is also the exact solution of the probability-flow ODE: it
        carries q(x) along and, in one dimension, no path overtakes another, so the probability of
        a smaller x stays the same along each path.
        """
        means, deviations = self._at(rates)
        wanted, far = torch.special.ndtr(z), float((means.abs() + 9 * deviations).max())
        low, high = torch.full_like(z, -far), torch.full_like(z, far)
        for _ in range(80):
            middle = (low + high) / 2
            short = self.below(middle, rates) < wanted
            low, high = torch.where(short, middle, low), torch.where(short, high, middle)
        return (low + high) / 2

    def denoise(self, x: Tensor, rates: Rates[float]) -> Prediction:
        """The expected x0, E[x0 | x], and the eps that goes with it; one network evaluation."""
        self.calls += 1
        means, deviations = self._at(rates)
        z = (x[..., None] - means) / deviations
        shares = torch.softmax(self.weights.log() - deviations.log() - z**2 / 2, -1)
        gains = rates.signal * self.deviations**2 / deviations
        x0 = (shares * (self.means + gains * z)).sum(-1)
        return Prediction(x0, (x - rates.signal * x0) / rates.noise)


def over_channels(matrix: Tensor, x: Tensor) -> Tensor:
    """A matrix (C, C) times the channels of x (N, C, H, W)."""
    return torch.einsum("ij,njhw->nihw", matrix, x)


def preserving(t: Tensor) -> Rates[Tensor]:
    """Variance preserving: a quarter circle without its ends."""
    angle = 0.2 + 1.35 * t
    return Rates(angle.cos(), angle.sin())


def flow(t: Tensor) -> Rates[Tensor]:
    """Straight lines (Lipman et al. 2023, arXiv:2210.02747), without their ends."""
    noise = 0.02 + 0.96 * t
    return Rates(1 - noise, noise)


def exploding(t: Tensor) -> Rates[Tensor]:
    """Variance exploding (Song et al. 2021, arXiv:2011.13456, section 3.4): signal stays 1."""
    return Rates(torch.ones_like(t), 0.05 * (4 / 0.05) ** t)


def karras(t: Tensor) -> Rates[Tensor]:
    """Variance exploding from 0.002 to 80, the sigmas of Karras et al. 2022 (arXiv:2206.00364)."""
    return Rates(torch.ones_like(t), 0.002 * (80 / 0.002) ** t)


def widest(t: Tensor) -> Rates[Tensor]:
    """Variance preserving, as far as a schedule may go: log-SNR from 20 to -20."""
    log_snr = 20 - 40 * t
    return Rates(log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt())


SCHEDULES = {"VP": preserving, "VE": exploding, "flow": flow}
"""A variance-preserving, a variance-exploding and a flow schedule."""


Sizes = Callable[[int], Tensor]
"""sizes(n): positive numbers (n,) that n steps are proportional to."""


def even(count: int) -> Tensor:
    """All steps equal."""
    return torch.ones(count, dtype=torch.float64)


def uneven(count: int) -> Tensor:
    """Every second step twice as large as the others."""
    return 1 + (torch.arange(count, dtype=torch.float64) % 2 == 0)


def irregular(count: int) -> Tensor:
    """Steps of random sizes, of which the largest is at most three times the smallest."""
    draw = torch.Generator().manual_seed(0)
    return 0.5 + torch.rand(count, dtype=torch.float64, generator=draw)


def noisy_levels(
    schedule: Callable[[Tensor], Rates[Tensor]], num_steps: int, sizes: Sizes = even
) -> Levels:
    """The ``num_steps + 1`` levels from t = 1 to t = 0, of which none is clean."""
    steps = torch.cat([torch.zeros(1, dtype=torch.float64), sizes(num_steps)])
    t = 1 - steps.cumsum(0) / steps.sum()
    t[-1] = 0
    rates = schedule(t)
    return [Rates(a, b) for a, b in zip(rates.signal.tolist(), rates.noise.tolist(), strict=True)]


def order_of(errors: Sequence[float], steps: Sequence[int]) -> float:
    """The order of convergence: minus the slope of log error against log steps."""
    return -float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


@dataclass
class Impulses:
    """Draws for a sampler that are no random numbers: draw k is ``size`` in row k + 1, else 0.

    A sampler that is affine in x and its draws answers in row 0 with its mean and in row k + 1 with
    the mean plus what the k-th draw adds, so that its variance is known without chance.
    """

    size: float = 1.0
    draw: int = 0

    def normal(self, like: Tensor) -> Tensor:
        """The next draw."""
        self.draw += 1
        if self.draw >= len(like) - 1:
            raise NotAffine
        out = torch.zeros_like(like)
        out[self.draw] = self.size
        return out

    def uniform(self, like: Tensor) -> Tensor:
        """Not normal, so nothing is known."""
        raise NotAffine


class NotAffine(Exception):
    """The variance of a path cannot be had from impulses."""


def variance_of(sampler: Callable[..., Tensor], data: GaussianData, levels: Levels) -> float | None:
    """The exact variance at the last level of a path that starts with that of the first; C = 1.

    None where the path is not affine in its noise, or draws more than twice a step.
    """
    try:
        once, twice = (_impulse_response(sampler, data, levels, size) for size in (1.0, 2.0))
    except NotAffine:
        return None
    if not torch.allclose(2 * once, twice, rtol=1e-6, atol=1e-9):
        return None
    return float(once.square().sum())


def _impulse_response(
    sampler: Callable[..., Tensor], data: GaussianData, levels: Levels, size: float
) -> Tensor:
    """What each draw, and the start's deviation in the last row, add at the last level."""
    mean, covariance = data.at(levels[0])
    x = mean.expand(2 * len(levels) + 2, 1, 1, 1).clone()
    x[-1] += size * math.sqrt(covariance.item())
    out = sampler(data.denoise, x, levels, Impulses(size)).flatten()
    return out[1:] - out[0]
