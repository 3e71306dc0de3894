"""A model to samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from ..diffusion.generate import SampleRequest, generate
from ..diffusion.model import load_model, model_facts
from ..diffusion.rows import StoredRows
from ..machine import reusing_memory
from ..progress import track
from ..store.hdf5 import write_rows, writing
from ..store.store import Artifact
from .files import SAMPLES
from .session import Session

CHUNK = 64
"""Images that share a checksum."""


def draw_samples(model: Artifact, request: SampleRequest, session: Session) -> Artifact:
    """The samples of a model: uint8 (N, C, H, W), which ``read_samples`` reads."""
    ingredients = {**request.ingredients(session.registry), "inputs": {"model": model.key}}

    def build(folder: Path) -> None:
        total = -(-request.num_images // request.batch_size)
        shape = model_facts(model.path).image_shape
        with session.sharing(_drawn, model.path, request), reusing_memory():
            batches = track(_drawn(session, model.path, request), "sampling", total)
            write_samples(folder / SAMPLES, batches, request.num_images, shape)

    # Kinds of their own: "why" compares with what was made for the same purpose.
    kind = "samples" if request.purpose == "sample" else "scored-samples"
    return session.store.get_or_build(kind, ingredients, build)


def _drawn(session: Session, model: Path, request: SampleRequest) -> Iterator[Tensor]:
    """The batches of a request in order, drawn by all ranks."""
    drawing = load_model(
        model, session.registry, session.device, request.checkpoint, request.weights
    )
    world, numbers = session.world, range(request.num_images)
    own = generate(drawing, request, world.dealt(numbers, request.batch_size))
    return world.in_order(own, -(-request.num_images // request.batch_size))


def write_samples(path: Path, batches: Iterable[Tensor], count: int, shape: Sequence[int]) -> None:
    """``count`` images of this shape, (C, H, W), uint8 and in order, into one HDF5 dataset.

    A batch is in memory at a time; every chunk has a checksum.
    """
    with writing(path) as file:
        arrays = (batch.numpy() for batch in batches)
        write_rows(file, "images", arrays, (count, *shape), CHUNK)


def read_samples(samples: Artifact) -> StoredRows:
    """The samples, uint8 (N, C, H, W): ``[:64]`` reads the first ones."""
    return StoredRows(samples.path / SAMPLES, "images", np.uint8, 4)
