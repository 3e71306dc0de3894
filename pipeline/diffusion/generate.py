"""Sampling in memory: from noise, or from given images, to images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..plugin.contracts import Denoise, Guidance, Sampler, Spacing
from ..plugin.draws import Draws, Purpose
from ..plugin.registry import Registry
from ..records import Plain
from .labels import Labels
from .levels import levels
from .model import Choice, Model, Weights
from .painting import Painting
from .precision import computing


class Worse(NamedTuple):
    """The model of the run that a guidance names."""

    run: str
    """Its name."""
    path: Path
    """The folder that ``save_model`` wrote."""
    content: str
    """The digest of what is in it."""


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
    guidance: Guidance
    guidance_scale: float = 1.0
    worse: Worse | None = None
    """The model that the guidance compares with, where it names a run."""
    precision: str = "float32"
    """What the network computes in."""
    interpolate: int | None = None
    """K: images rK to rK + K - 1 go from the starting noise of image 2r to that of image 2r + 1.

    All of row r have label r, and the sampler's own draws are those of image 2r."""
    painting: Painting | None = None
    """The images that drawing begins from; None: from noise alone."""
    checkpoint: Choice = "best"
    weights: Weights = "ema"
    length: float | None = None
    """The length of the average that draws, see ``lengths``; None: ``weights`` say which."""
    batch_size: int = 64
    """Images at a time: for memory and speed; image i stays the same."""

    @property
    def nfe(self) -> int:
        """Network evaluations for each image."""
        if self.painting:
            each = self.guidance.nfe(self.guidance_scale)
            return self.painting.evaluations(self.sampler) * each
        return evaluations(self.sampler, self.num_steps, self.guidance, self.guidance_scale)

    def ingredients(self, registry: Registry) -> Plain:
        """What the images depend on, beside the model."""
        return {
            "sampler": registry.describe(self.sampler),
            "num_steps": self.num_steps,
            "spacing": registry.describe(self.spacing),
            **self.conditioning(registry.describe(self.guidance)),
            "precision": self.precision,
            "interpolate": self.interpolate,
            **({"painting": self.painting.ingredients()} if self.painting else {}),
            "num_images": self.num_images,
            "seed": self.seed,
            "purpose": self.purpose,
            **self.model_words(),
        }

    def protocol(self, registry: Registry) -> Plain:
        """How the images are drawn, as a score's protocol says it."""
        return {
            "sampler": registry.spec(self.sampler),
            "num_steps": self.num_steps,
            "spacing": registry.brief(self.spacing),
            **self.conditioning(registry.brief(self.guidance)),
            "precision": self.precision,
        }

    def model_words(self) -> Plain:
        """Which weights draw."""
        length = {} if self.length is None else {"length": self.length}
        return {"checkpoint": self.checkpoint, "weights": self.weights, **length}

    def conditioning(self, guidance: object) -> Plain:
        """The part of a protocol or a key that tells of classes and guidance.

        ``guidance`` is the stage in words; without an effect it is not told.
        """
        found: Plain = {"labels": self.labels.words} if self.labels else {}
        if self.labels or self.guidance_scale != 1:
            found["guidance_scale"] = self.guidance_scale
        if self.guidance_scale != 1:
            found["guidance"] = guidance
            if self.worse:
                found["guided_by"] = self.worse.content
        return found


def evaluations(sampler: Sampler, num_steps: int, guidance: Guidance, scale: float) -> int:
    """How often networks are evaluated for an image, at most."""
    return sampler.nfe(num_steps) * guidance.nfe(scale)


@torch.inference_mode()
def generate(model: Model, request: SampleRequest, images: Sequence[int]) -> Iterator[Tensor]:
    """Draw these images: uint8 (n, C, H, W) batches on the CPU.

    Image i depends on the request's seed and purpose and on i, not on the batch that it is in.
    """
    model = replace(model, precision=request.precision)
    steps = levels(model.schedule, request.num_steps, request.spacing)
    for start in range(0, len(images), request.batch_size):
        rows = images[start : start + request.batch_size]
        if request.painting:
            yield _paint(model, request, request.painting, rows)
            continue
        begin = _begin(model, request, rows)
        denoise = _denoiser(model, request, begin.labelled)
        x = begin.noise.to(memory_format=torch.channels_last) * steps[0].c
        with computing(request.precision):  # not around the yield
            drawn = model.decode(request.sampler(denoise, x, steps, begin.draws))
        yield drawn


def _paint(model: Model, request: SampleRequest, painting: Painting, rows: Sequence[int]) -> Tensor:
    draws = Draws(request.seed, request.purpose, rows)
    with computing(request.precision):
        return painting.draw(model, request.sampler, _denoiser(model, request, rows), draws)


def _denoiser(model: Model, request: SampleRequest, labelled: Sequence[int]) -> Denoise:
    labels = request.labels.of(labelled) if request.labels else None
    return model.denoiser(labels, request.guidance, request.guidance_scale)


class _Beginning(NamedTuple):
    """Where the sampling of a batch begins."""

    noise: Tensor
    draws: Draws
    """What the sampler draws from."""
    labelled: Sequence[int]
    """The numbers by which labels are chosen."""


def _begin(model: Model, request: SampleRequest, rows: Sequence[int]) -> _Beginning:
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
