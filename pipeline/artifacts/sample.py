"""Sampling: from noise to images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import torch
from torch import Tensor

from ..diffusion.generate import SampleRequest, generate
from ..diffusion.model import load_model
from ..plugin.registry import Registry
from ..progress import track
from ..store.store import Artifact, Store


def sample(
    model: Artifact, order: SampleRequest, registry: Registry, store: Store, device: str
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
            labels=order.labels,
            guidance_scale=order.guidance_scale,
            interpolate=order.interpolate,
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
