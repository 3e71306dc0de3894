"""Drawing that begins from images: image to image, and inpainting."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..plugin.contracts import Denoise, Sampler
from ..plugin.draws import Draws
from ..plugin.values import Prediction, Rates
from ..records import Plain
from .model import Model

STRETCH, PASSES = 5, 10
"""Steps that inpainting goes before it goes back, a quarter of the usual 20, and how often it goes
them: RePaint's jump length and number of resamplings. Gone once, what is drawn does not fit."""


@dataclass(frozen=True, eq=False)
class Painting:
    """Images to begin from; image i of a request begins from number i % K of them."""

    images: Tensor
    """uint8 (K, C, H, W), of the model's shape."""
    levels: Sequence[Rates[float]]
    """From the level of ``strength`` down to CLEAN."""
    strength: float
    """The time t of the noisiest level, in (0, 1]."""
    mask: Tensor | None = None
    """bool (K, 1, H, W), true where images are drawn anew; None: everywhere."""

    def ingredients(self) -> Plain:
        """What the results depend on, beside the request."""
        found: Plain = {"images": _digest(self.images), "strength": self.strength}
        if self.mask is not None:
            found |= {"mask": _digest(self.mask), "stretch": STRETCH, "passes": PASSES}
        return found

    def evaluations(self, sampler: Sampler) -> int:
        """How often the network is evaluated for an image, without guidance."""
        if self.mask is None:
            return sampler.nfe(len(self.levels) - 1)
        calls = 0

        def counting(x: Tensor, rates: Rates[float]) -> Prediction:
            nonlocal calls
            calls += 1
            return Prediction(torch.zeros_like(x), x / rates.noise)

        # A sampler declares what it costs down to the clean level, and stretches end above it.
        resampled(sampler, counting, torch.zeros(1, 1, 8, 8), self.levels, Draws(0, "sample", [0]))
        return calls

    def draw(self, model: Model, sampler: Sampler, denoise: Denoise, draws: Draws) -> Tensor:
        """The images ``draws.rows`` of a request, uint8 (n, C, H, W) on the CPU.

        Without a mask it is SDEdit (Meng et al. 2022, https://arxiv.org/abs/2108.01073, algorithm
        1): noise is added, and the sampler goes from there. With one it is RePaint: what is kept
        ends as the images' own pixels, and at strength 1 what is drawn knows nothing of them.
        """
        rows = [i % len(self.images) for i in draws.rows]
        images, top = self.images[rows], self.levels[0]
        x0 = model.encode(images)
        noise = draws.normal(torch.empty(x0.shape, device=x0.device)).to(x0)
        x = top.signal * x0 + top.noise * noise
        if self.mask is None:
            return model.decode(sampler(denoise, x, self.levels, draws))
        mask = self.mask[rows]
        anew = mask.to(x0.device)
        if self.strength == 1:
            x = torch.where(anew, top.c * noise, x)
        end = resampled(sampler, keeping(denoise, x0, anew), x, self.levels, draws)
        return torch.where(mask, model.decode(end), images)


def keeping(denoise: Denoise, x0: Tensor, anew: Tensor) -> Denoise:
    """A denoiser that knows x0 (N, C, H, W) wherever ``anew`` (N, 1, H, W) is false.

    There any sampler keeps x a noisy image of x0, as replacing it at each level does (Song et al.
    2021, https://arxiv.org/abs/2011.13456, appendix I.2), and need not be interrupted for it.
    """

    def denoise_rest(x: Tensor, rates: Rates[float]) -> Prediction:
        seen = denoise(x, rates)
        eps = (x - rates.signal * x0) / rates.noise if rates.noise else seen.eps
        return Prediction(torch.where(anew, seen.x0, x0), torch.where(anew, seen.eps, eps))

    return denoise_rest


def resampled(
    sampler: Sampler, denoise: Denoise, x: Tensor, levels: Sequence[Rates[float]], draws: Draws
) -> Tensor:
    """x at the last level, by RePaint: Lugmayr et al. 2022, https://arxiv.org/abs/2201.09865.

    Algorithm 1 for any sampler: each stretch of levels is gone down ``PASSES`` times; in between,
    noise is added until x is at its first level again.
    """
    for start in range(0, len(levels) - 1, STRETCH):
        stretch = levels[start : start + STRETCH + 1]
        first, last = stretch[0], stretch[-1]
        for to_go in reversed(range(PASSES)):
            end = sampler(denoise, x, stretch, draws)
            if to_go:
                shrink = first.signal / last.signal
                fresh = max(0.0, first.noise**2 - (shrink * last.noise) ** 2) ** 0.5
                x = shrink * end + fresh * draws.normal(end)
        x = end
    return x


def _digest(values: Tensor) -> str:
    content = f"{tuple(values.shape)}".encode() + values.contiguous().numpy().tobytes()
    return hashlib.sha256(content).hexdigest()
