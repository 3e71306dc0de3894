"""Sampling: from noise to images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor

from .contracts import Sampler
from .draws import Draws, Purpose
from .levels import levels
from .model import Choice, Model, Weights, load_model
from .progress import track
from .recipe import Spacing
from .registry import Registry
from .store import Artifact, Store


@torch.inference_mode()
def generate(
    model: Model,
    sampler: Sampler,
    num_steps: int,
    images: Sequence[int],
    *,
    spacing: Spacing = "uniform",
    seed: int,
    purpose: Purpose,
    batch_size: int,
) -> Iterator[Tensor]:
    """uint8 (n, C, H, W) batches: image i depends on seed, purpose and i, not on the batch."""
    steps = levels(model.schedule, num_steps, spacing)
    denoise = model.denoiser()
    for start in range(0, len(images), batch_size):
        rows = images[start : start + batch_size]
        draws = Draws(seed, purpose, rows)
        like = torch.empty((len(rows), *model.shape), device=model.device)
        x = draws.normal(like).to(memory_format=torch.channels_last) * steps[0].c
        yield model.decode(sampler(denoise, x, steps, draws))


@dataclass(frozen=True)
class Order:
    """What images are asked for."""

    sampler: Sampler
    num_steps: int
    num_images: int
    seed: int
    spacing: Spacing = "uniform"
    purpose: Purpose = "sample"
    choice: Choice = "best"
    weights: Weights = "ema"
    batch_size: int = 64

    def ingredients(self, registry: Registry) -> dict[str, Any]:
        """What the images depend on, beside the model."""
        return {
            "sampler": registry.describe(self.sampler),
            "num_steps": self.num_steps,
            "spacing": self.spacing,
            "num_images": self.num_images,
            "seed": self.seed,
            "purpose": self.purpose,
            "checkpoint": self.choice,
            "weights": self.weights,
        }


def sample(
    model: Artifact, order: Order, registry: Registry, store: Store, device: str
) -> Artifact:
    """An artifact with ``samples.h5``: dataset ``images``, uint8 (N, C, H, W)."""

    def build(path: Path) -> None:
        made = load_model(model.path, registry, device, order.choice, order.weights)
        batches = generate(
            made,
            order.sampler,
            order.num_steps,
            range(order.num_images),
            spacing=order.spacing,
            seed=order.seed,
            purpose=order.purpose,
            batch_size=order.batch_size,
        )
        total = -(-order.num_images // order.batch_size)
        write_samples(path / "samples.h5", track(batches, "sampling", total))

    ingredients = {**order.ingredients(registry), "inputs": {"model": model.key}}
    # Kinds of their own: "why" compares with what was made for the same purpose.
    kind = "samples" if order.purpose == "sample" else "scored-samples"
    return store.get_or_build(kind, ingredients, build)


def write_samples(path: Path, batches: Iterator[Tensor]) -> None:
    """uint8 NCHW batches into one HDF5 dataset, with a checksum on every chunk."""
    images = torch.cat(list(batches)).numpy()
    chunks = (min(64, len(images)), *images.shape[1:])
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=images, chunks=chunks, fletcher32=True)


def read_samples(samples: Artifact) -> Tensor:
    """uint8 (N, C, H, W)."""
    with h5py.File(samples.path / "samples.h5") as file:
        return torch.from_numpy(file["images"][:])
