"""Sampling in memory: from noise to images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..plugin.contracts import Sampler, Spacing
from ..plugin.draws import Draws, Purpose
from ..plugin.registry import Registry
from ..records import Plain
from .labels import Labels
from .levels import levels
from .model import Choice, Model, Weights


@dataclass(frozen=True, kw_only=True)
class SampleRequest:
    """Which images are asked of a model."""

    sampler: Sampler
    num_steps: int
    """Noisy levels."""
    spacing: Spacing
    num_images: int
    seed: int
    purpose: Purpose = "sample"
    """Images of another purpose are drawn from other noise."""
    labels: Labels | None = None
    """None: the model knows no classes."""
    guidance_scale: float = 1.0
    interpolate: int | None = None
    """K: images rK to rK + K - 1 go from the starting noise of image 2r to that of image 2r + 1.

    All of row r have label r, and the sampler's own draws are those of image 2r."""
    checkpoint: Choice = "best"
    weights: Weights = "ema"
    batch_size: int = 64
    """Images at a time: for memory and speed; image i stays the same."""

    @property
    def nfe(self) -> int:
        """Network evaluations for each image; guidance doubles them."""
        return self.sampler.nfe(self.num_steps) * (1 if self.guidance_scale in (0, 1) else 2)

    def ingredients(self, registry: Registry) -> Plain:
        """What the images depend on, beside the model."""
        return {
            "sampler": registry.describe(self.sampler),
            "num_steps": self.num_steps,
            "spacing": registry.describe(self.spacing),
            **self.conditioning(),
            "interpolate": self.interpolate,
            "num_images": self.num_images,
            "seed": self.seed,
            "purpose": self.purpose,
            "checkpoint": self.checkpoint,
            "weights": self.weights,
        }

    def protocol(self, registry: Registry) -> Plain:
        """How the images are drawn, as a score's protocol says it."""
        return {
            "sampler": registry.spec(self.sampler),
            "num_steps": self.num_steps,
            "spacing": registry.brief(self.spacing),
            **self.conditioning(),
        }

    def conditioning(self) -> Plain:
        """What is to be said of images that are drawn for classes; nothing of others."""
        if self.labels is None:
            return {}
        return {"labels": self.labels.words, "guidance_scale": self.guidance_scale}


@torch.inference_mode()
def generate(model: Model, request: SampleRequest, images: Sequence[int]) -> Iterator[Tensor]:
    """Draw these images: uint8 (n, C, H, W) batches on the CPU.

    Image i depends on the request's seed and purpose and on i, not on the batch that it is in.
    """
    steps = levels(model.schedule, request.num_steps, request.spacing)
    for start in range(0, len(images), request.batch_size):
        rows = list(images[start : start + request.batch_size])
        begin = _begin(model, request, rows)
        labels = request.labels.of(begin.labelled) if request.labels else None
        denoise = model.denoiser(labels, request.guidance_scale)
        x = begin.noise.to(memory_format=torch.channels_last) * steps[0].c
        yield model.decode(request.sampler(denoise, x, steps, begin.draws))


class _Beginning(NamedTuple):
    """Where the sampling of a batch begins."""

    noise: Tensor
    draws: Draws
    """What the sampler draws from."""
    labelled: list[int]
    """The numbers by which labels are chosen."""


def _begin(model: Model, request: SampleRequest, rows: list[int]) -> _Beginning:
    like = torch.empty((len(rows), *model.shape), device=model.device)
    if not request.interpolate:
        draws = Draws(request.seed, request.purpose, rows)
        return _Beginning(draws.normal(like), draws, rows)
    columns = request.interpolate
    ends = [2 * (i // columns) for i in rows]
    share = like.new_tensor([i % columns / (columns - 1) for i in rows])
    draws = Draws(request.seed, request.purpose, ends)
    other = Draws(request.seed, request.purpose, [i + 1 for i in ends])
    noise = slerp(draws.normal(like), other.normal(like), share)
    return _Beginning(noise, draws, [i // columns for i in rows])


def slerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Go on the great circle from a to b (N, …) by a share (N,) of the angle between them.

    Shoemake 1985, as in Song et al. 2021 (https://arxiv.org/abs/2010.02502, eq. 67). It keeps the
    norm of Gaussian noise; a straight line would shrink it.
    """
    dot = torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1))
    angle = dot.clamp(-1, 1).acos()
    weights = [(angle * s).sin() / angle.sin() for s in (1 - share, share)]
    first, last = (weight.reshape(-1, *[1] * (a.dim() - 1)) for weight in weights)
    return first * a + last * b
