"""Sampling in memory: from noise to images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..plugin.contracts import Sampler
from ..plugin.draws import Draws, Purpose
from ..plugin.registry import Registry
from ..recipe.schema import Spacing
from .labels import Labels
from .levels import levels
from .model import Choice, Model, Weights


@dataclass(frozen=True)
class SampleRequest:
    """What images are asked for."""

    sampler: Sampler
    num_steps: int
    num_images: int
    seed: int
    spacing: Spacing = "uniform"
    labels: Labels | None = None
    guidance_scale: float = 1.0
    interpolate: int | None = None
    purpose: Purpose = "sample"
    choice: Choice = "best"
    weights: Weights = "ema"
    batch_size: int = 64

    @property
    def nfe(self) -> int:
        """Network evaluations an image; guidance doubles them."""
        return self.sampler.nfe(self.num_steps) * (1 if self.guidance_scale in (0, 1) else 2)

    def ingredients(self, registry: Registry) -> dict[str, Any]:
        """What the images depend on, beside the model."""
        return {
            "sampler": registry.describe(self.sampler),
            "num_steps": self.num_steps,
            "spacing": self.spacing,
            **conditioning(self.labels, self.guidance_scale),
            "interpolate": self.interpolate,
            "num_images": self.num_images,
            "seed": self.seed,
            "purpose": self.purpose,
            "checkpoint": self.choice,
            "weights": self.weights,
        }


def conditioning(labels: Labels | None, guidance_scale: float) -> dict[str, Any]:
    """What is to say of images that were drawn for classes; nothing of others."""
    return {"labels": labels.words, "guidance_scale": guidance_scale} if labels else {}


@torch.inference_mode()
def generate(
    model: Model,
    sampler: Sampler,
    num_steps: int,
    images: Sequence[int],
    *,
    spacing: Spacing = "uniform",
    labels: Labels | None = None,
    guidance_scale: float = 1.0,
    interpolate: int | None = None,
    seed: int,
    purpose: Purpose,
    batch_size: int,
) -> Iterator[Tensor]:
    """uint8 (n, C, H, W) batches: image i depends on seed, purpose and i, not on the batch.

    With ``interpolate`` K, images rK to rK + K - 1 go from the starting noise of image 2r to that
    of image 2r + 1. All of the row r have label r, and what a sampler draws is that of image 2r.
    """
    steps = levels(model.schedule, num_steps, spacing)
    for start in range(0, len(images), batch_size):
        rows = list(images[start : start + batch_size])
        like = torch.empty((len(rows), *model.shape), device=model.device)
        if interpolate:
            ends = [2 * (i // interpolate) for i in rows]
            share = like.new_tensor([i % interpolate / (interpolate - 1) for i in rows])
            draws = Draws(seed, purpose, ends)
            other = Draws(seed, purpose, [i + 1 for i in ends])
            x = slerp(draws.normal(like), other.normal(like), share)
            named = [i // interpolate for i in rows]
        else:
            draws, named = Draws(seed, purpose, rows), rows
            x = draws.normal(like)
        denoise = model.denoiser(labels.of(named) if labels else None, guidance_scale)
        x = x.to(memory_format=torch.channels_last) * steps[0].c
        yield model.decode(sampler(denoise, x, steps, draws))


def slerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """On the great circle from a to b (N, …) by a share (N,) of the angle between them.

    Shoemake 1985, as in Song et al. 2021 (https://arxiv.org/abs/2010.02502, eq. 67). Unlike a
    straight line it keeps the norm, without which noise is none.
    """
    dot = torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1))
    angle = dot.clamp(-1, 1).acos()
    weights = [(angle * s).sin() / angle.sin() for s in (1 - share, share)]
    first, last = (weight.reshape(-1, *[1] * (a.dim() - 1)) for weight in weights)
    return first * a + last * b
