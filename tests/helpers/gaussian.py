"""Gaussian features with closed-form KID: what comparisons are tried on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """Isotropic, of dimension ``dim`` with the same mean in every feature."""

    mean: float = 0.0
    deviation: float = 1.0
    dim: int = 32

    def of(self, noise: Tensor) -> Tensor:
        """A row for each row of standard normal noise (N, dim)."""
        return self.mean + self.deviation * noise


REAL = Gaussian()


def kernel_mean(a: Gaussian, b: Gaussian) -> float:
    """E (x·y/d + 1)³ for independent x of a and y of b.

    Given x, x·y/d + 1 is normal with mean m = 1 + x·μ/d and variance v = (σ|x|/d)², and its cube
    has the mean m³ + 3mv; m is normal too, and the mean of (x·μ)|x|² a Gaussian's third moment.
    """
    d, inner, square = a.dim, a.dim * a.mean * b.mean, a.dim * (a.mean**2 + a.deviation**2)
    centre, spread = 1 + inner / d, a.deviation**2 * b.mean**2 / d
    third = inner * (square + 2 * a.deviation**2)
    return centre**3 + 3 * centre * spread + 3 * b.deviation**2 / d**2 * (square + third / d)


def kid(model: Gaussian) -> float:
    """Of infinitely many images, to ``REAL``."""
    return kernel_mean(model, model) - 2 * kernel_mean(REAL, model) + kernel_mean(REAL, REAL)


class Draws:
    """Noise, one draw after another."""

    def __init__(self, seed: int, dim: int = REAL.dim) -> None:
        self._draw, self._dim = torch.Generator().manual_seed(seed), dim

    def noise(self, count: int) -> Tensor:
        """Standard normal (count, dim)."""
        return torch.randn(count, self._dim, generator=self._draw)

    def real(self, count: int) -> Tensor:
        """Features (count, dim) of ``REAL``."""
        return REAL.of(self.noise(count))

    def pair(
        self, first: Gaussian, second: Gaussian, count: int, shared: float = 0.5
    ) -> tuple[Tensor, Tensor]:
        """Of both models, with that share of their variance from the same starting noise."""
        start = math.sqrt(shared) * self.noise(count)
        own = math.sqrt(1 - shared)
        y, z = (start + own * self.noise(count) for _ in range(2))
        return first.of(y), second.of(z)
