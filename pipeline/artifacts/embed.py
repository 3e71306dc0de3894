"""Images to features, computed once and kept under their content key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..diffusion.measure import extract
from ..plugin.contracts import Features
from ..progress import track
from ..store.hdf5 import as_texts, reading, writing
from ..store.store import Artifact
from .files import FEATURES, SAMPLES
from .prepare import read_images
from .session import Session

Part = Literal["train", "validation", "all"]
"""Which of an artifact's images: a part of the prepared ones, or all samples."""

BATCH = 64
"""Images at a time."""


def embed(images: Artifact, part: Part, features: Features, session: Session) -> Artifact:
    """The features of prepared images or of samples, row i of image i of their part."""
    extractor = session.extractor(features)
    inputs = {"samples": images.key} if part == "all" else {"images": images.content}
    ingredients = {
        "features": session.registry.describe(features),
        "extractor": extractor.id,  # holds the weights' digest
        "versions": {"torch": torch.__version__},
        "inputs": inputs,
        "split": part,
    }

    def build(folder: Path) -> None:
        batches = (batch.to(session.device) for batch in _batches(images, part))
        with writing(folder / FEATURES) as file:
            values = extract(extractor, batches).numpy()
            file.create_dataset("features", data=values, chunks=True, fletcher32=True)
            file.attrs["id"] = as_texts([extractor.id])

    kind = "sample-features" if part == "all" else "features"
    return session.store.get_or_build(kind, ingredients, build)


def read_features(features: Artifact) -> Tensor:
    """float32 (N, D)."""
    with reading(features.path / FEATURES) as data:
        return torch.from_numpy(data.get("features", np.float32, 2)[:])


def extractor_id(features: Artifact) -> str:
    """The id of the extractor that made them."""
    with reading(features.path / FEATURES) as data:
        return data.text("id")


def _batches(images: Artifact, part: Part) -> Iterator[Tensor]:
    """uint8 (n, C, H, W), with progress."""
    if part == "all":
        with reading(images.path / SAMPLES) as data:
            pixels = data.get("images", np.uint8, 4)
            for i in _starts(len(pixels)):
                yield torch.from_numpy(pixels[i : i + BATCH])
    else:
        reader = read_images(images)
        indices = reader.indices(part)
        for i in _starts(len(indices)):
            yield reader.batch(indices[i : i + BATCH])


def _starts(count: int) -> Iterator[int]:
    starts = range(0, count, BATCH)
    return track(starts, "extracting features, batch", len(starts))
