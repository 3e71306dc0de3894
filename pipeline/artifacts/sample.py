"""A model to samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..diffusion.generate import SampleRequest, generate
from ..diffusion.model import load_model
from ..progress import track
from ..store.hdf5 import reading, writing
from ..store.store import Artifact
from .files import SAMPLES
from .session import Session


def draw_samples(model: Artifact, request: SampleRequest, session: Session) -> Artifact:
    """The samples of a model: uint8 (N, C, H, W), which ``read_samples`` reads."""
    ingredients = {**request.ingredients(session.registry), "inputs": {"model": model.key}}

    def build(folder: Path) -> None:
        drawing = load_model(
            model.path, session.registry, session.device, request.checkpoint, request.weights
        )
        batches = generate(drawing, request, range(request.num_images))
        total = -(-request.num_images // request.batch_size)
        write_samples(folder / SAMPLES, track(batches, "sampling", total))

    # Kinds of their own: "why" compares with what was made for the same purpose.
    kind = "samples" if request.purpose == "sample" else "scored-samples"
    return session.store.get_or_build(kind, ingredients, build)


def write_samples(path: Path, batches: Iterator[Tensor]) -> None:
    """uint8 NCHW batches into one HDF5 dataset, with a checksum on every chunk."""
    images = torch.cat(list(batches)).numpy()
    chunks = (min(64, len(images)), *images.shape[1:])
    with writing(path) as file:
        file.create_dataset("images", data=images, chunks=chunks, fletcher32=True)


def read_samples(samples: Artifact, most: int | None = None) -> Tensor:
    """The samples, or the first ``most`` of them: uint8 (N, C, H, W)."""
    with reading(samples.path / SAMPLES) as data:
        return torch.from_numpy(data.get("images", np.uint8, 4)[:most])
