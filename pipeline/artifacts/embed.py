"""Images to features, computed once and kept under their content key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..diffusion.measure import extract
from ..diffusion.rows import StoredRows
from ..plugin.contracts import Features
from ..progress import track
from ..records import Plain
from ..store.hdf5 import as_texts, reading, write_rows, writing
from ..store.store import Artifact
from .files import FEATURES
from .prepare import read_images
from .sample import read_samples
from .session import Session

Part = Literal["train", "validation", "all"]
"""Which of an artifact's images: a part of the prepared ones, or all samples."""

BATCH = 64
"""Images at a time."""

CHUNK = 2**16
"""Numbers that share a checksum, 256 KiB: whole rows, as they are read."""


def embed(images: Artifact, part: Part, features: Features, session: Session) -> Artifact:
    """The features of prepared images or of samples, row i of image i of their part."""
    extractor = session.extractor(features)
    ingredients = _ingredients(images, part, features, session)

    def build(folder: Path) -> None:
        count, _ = _reader(images, part)
        with session.sharing(_embedded, images, part, features), writing(folder / FEATURES) as file:
            values = (block.numpy() for block in _embedded(session, images, part, features))
            chunk = max(1, CHUNK // extractor.dim)
            write_rows(file, "features", values, (count, extractor.dim), chunk)
            file.attrs["id"] = as_texts([extractor.id])

    kind = "sample-features" if part == "all" else "features"
    return session.store.get_or_build(kind, ingredients, build)


def embedded(images: Artifact, part: Part, features: Features, session: Session) -> Artifact | None:
    """What ``embed`` gives, if it is there already."""
    kind = "sample-features" if part == "all" else "features"
    return session.store.find(kind, _ingredients(images, part, features, session))


def _ingredients(images: Artifact, part: Part, features: Features, session: Session) -> Plain:
    inputs = {"samples": images.key} if part == "all" else {"images": images.content}
    return {
        "features": session.registry.describe(features),
        "extractor": session.extractor(features).id,  # holds the weights' digest
        "versions": {"torch": torch.__version__},
        "inputs": inputs,
        "split": part,
    }


def read_features(features: Artifact) -> StoredRows:
    """float32 (N, D), read when rows are asked for: ``[:]`` are all."""
    return StoredRows(features.path / FEATURES, "features", np.float32, 2)


def extractor_id(features: Artifact) -> str:
    """The id of the extractor that made them."""
    with reading(features.path / FEATURES) as data:
        return data.text("id")


def _embedded(
    session: Session, images: Artifact, part: Part, features: Features
) -> Iterator[Tensor]:
    """The features of each batch in order, extracted by all ranks, with progress."""
    extractor, world = session.extractor(features), session.world
    count, read = _reader(images, part)
    own = (read(start).to(session.device) for start in world.dealt(range(0, count, BATCH), 1))
    total = -(-count // BATCH)
    batches = world.in_order(extract(extractor, own), total)
    return iter(track(batches, "extracting features, batch", total))


def _reader(images: Artifact, part: Part) -> tuple[int, Callable[[int], Tensor]]:
    """How many images there are, and what reads a batch, uint8 (n, C, H, W), from one on."""
    if part == "all":
        samples = read_samples(images)
        return len(samples), lambda start: samples[start : start + BATCH]
    reader = read_images(images)
    indices = reader.indices(part)
    return len(indices), lambda start: reader.batch(indices[start : start + BATCH])
