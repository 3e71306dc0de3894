"""A model to samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..diffusion.generate import SampleRequest, generate
from ..diffusion.model import Model, load_model, model_facts
from ..diffusion.rows import StoredRows
from ..errors import InputError
from ..machine import reusing_memory
from ..plugin.registry import Registry
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
    drawing = drawing_model(model, request, session)
    world, numbers = session.world, range(request.num_images)
    own = generate(drawing, request, world.dealt(numbers, request.batch_size))
    return world.in_order(own, -(-request.num_images // request.batch_size))


def drawing_model(path: Path, request: SampleRequest, session: Session) -> Model:
    """The model that draws, with the one that its guidance names.

    InputError where that one is of another shape, space or classes.
    """
    registry, device = session.registry, session.device
    model = load_model(path, registry, device, request.checkpoint, request.weights, request.length)
    if request.worse is None:
        return model
    worse = load_model(request.worse.path, registry, device)
    if differs := _difference(model, worse, registry):
        raise InputError(
            f"guidance: the model of run {request.worse.run} {differs}: take one of the same images"
        )
    return replace(model, worse=worse)


def _difference(model: Model, worse: Model, registry: Registry) -> str:
    """Why predictions of two models cannot be compared; "" where they can."""
    if (model.shape, model.image_shape) != (worse.shape, worse.image_shape):
        return f"is of images {worse.image_shape}, not {model.image_shape}"
    if worse.class_names not in (None, model.class_names):
        return "knows other classes"
    one, other = model.codec_state, worse.codec_state
    same = registry.describe(model.codec) == registry.describe(worse.codec)
    if not same or one.keys() != other.keys():
        return "has another codec"
    if any(one[k].shape != other[k].shape or not torch.allclose(one[k], other[k]) for k in one):
        return "has a codec of other images"
    return ""


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
