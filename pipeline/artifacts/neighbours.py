"""The training images nearest to generated ones: does the model draw, or does it copy?"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..diagnosis.pictures import NeighboursRecord
from ..diffusion.images import Images, Indices
from ..format import evenly
from ..plugin.contracts import Features
from ..progress import progress
from ..store.folders import write_text
from ..store.store import Artifact
from .embed import embed, read_features
from .files import NEIGHBOURS, neighbours_in
from .prepare import read_images
from .sample import read_samples
from .session import Session

SHOWN, NEAREST = 64, 3
"""Samples that are looked at, and training images for each."""

FOR_SCALE = 256
"""Validation images whose distances say what is usual: enough for a median."""

NUMBERS = 2**24
"""Numbers of training images in memory at a time, and distances to them: 64 MB of each."""


@dataclass(frozen=True)
class Space:
    """Where distances are measured: samples and validation images as vectors, training ones read.

    ``unit`` says it in words; a distance is ``scale`` times the Euclidean one.
    """

    samples: Tensor
    validation: Tensor
    train: Callable[[Indices], Tensor]
    """Positions among the training images -> float32 (n, D)."""
    unit: str
    scale: float = 1.0


def neighbours(
    images: Artifact, samples: Artifact, features: Features | None, session: Session
) -> Artifact:
    """The training images nearest to the first samples, which ``read_neighbours`` reads.

    Distances are between these features, or between pixels where there are none.
    """
    inputs = {"samples": samples, "images": images}
    if features:
        inputs["features of samples"] = embed(samples, "all", features, session)
        inputs["features of training images"] = embed(images, "train", features, session)
        inputs["features of validation images"] = embed(images, "validation", features, session)
    ingredients = {
        "features": session.registry.describe(features) if features else None,
        "extractor": session.extractor(features).id if features else None,
        "counts": {"samples": SHOWN, "nearest": NEAREST, "for scale": FOR_SCALE},
        "inputs": {name: artifact.key for name, artifact in inputs.items()}
        | {"images": images.content},
    }

    def build(folder: Path) -> None:
        reader = read_images(images)
        validation = reader.indices("validation")
        some = np.array(evenly(len(validation), FOR_SCALE))
        if features:
            space = _feature_space(inputs, some, session.extractor(features).id)
        else:
            space = _pixel_space(reader, samples, validation[some])
        record = distances_to_training(space, reader.indices("train"))
        write_text(folder / NEIGHBOURS, json.dumps(record, allow_nan=False))

    return session.store.get_or_build("neighbours", ingredients, build)


def read_neighbours(artifact: Artifact) -> NeighboursRecord:
    """What ``neighbours`` keeps."""
    return neighbours_in(artifact.path / NEIGHBOURS)


def distances_to_training(space: Space, train: Indices) -> NeighboursRecord:
    """The nearest training images; ``train`` are the indices of all of them."""
    positions, distances = nearest_rows(space.samples, space.train, len(train), NEAREST)
    _, usual = nearest_rows(space.validation, space.train, len(train), 1)
    return {
        "unit": space.unit,
        "items": [
            {"sample": i, "indices": train[row].tolist(), "distances": (far * space.scale).tolist()}
            for i, (row, far) in enumerate(zip(positions.numpy(), distances, strict=True))
        ],
        "validation": (usual[:, 0] * space.scale).tolist(),
    }


def nearest_rows(
    queries: Tensor, read: Callable[[Indices], Tensor], count: int, k: int
) -> tuple[Tensor, Tensor]:
    """The k rows of ``count`` nearest to each query (N, D): positions, distances (N, k), ascending.

    ``read`` gives rows by position. Blocks of rows are compared by a product of matrices, which is
    fast and cancels where rows are nearly equal; the distances to the nearest are then computed
    without.
    """
    k = min(k, count)
    positions = torch.empty(len(queries), 0, dtype=torch.int64)
    distances = torch.empty(len(queries), 0)
    size = max(1, NUMBERS // max(queries.shape))
    starts = range(0, count, size)
    with progress("nearest training images", len(starts)) as bar:
        for start in starts:
            rows = np.arange(start, min(start + size, count))
            far = torch.cdist(queries, read(rows), compute_mode="use_mm_for_euclid_dist")
            far, order = far.topk(min(k, len(rows)), largest=False)
            distances = torch.cat([distances, far], 1)
            positions = torch.cat([positions, start + order], 1)
            distances, order = distances.topk(min(k, distances.shape[1]), largest=False)
            positions = positions.gather(1, order)
            bar.step()
    pairs = zip(queries, positions.numpy(), strict=True)
    exact = torch.stack([(read(row) - query).norm(dim=1) for query, row in pairs])
    exact, order = exact.sort()
    return positions.gather(1, order), exact


def _feature_space(inputs: Mapping[str, Artifact], some: Indices, extractor: str) -> Space:
    drawn, train, held = (
        read_features(inputs[f"features of {name}"])
        for name in ("samples", "training images", "validation images")
    )
    unit = f"distance of features of {extractor}"
    wanted = torch.from_numpy(some)
    return Space(drawn[:SHOWN], held[wanted], lambda rows: train[torch.from_numpy(rows)], unit)


def _pixel_space(reader: Images, samples: Artifact, held: Indices) -> Space:
    train = reader.indices("train")

    def read(rows: Indices) -> Tensor:
        return reader.batch(train[rows]).flatten(1).float()

    drawn = read_samples(samples)[:SHOWN].flatten(1).float()
    unit = "root mean square difference of pixels, 0 to 255"
    validation = reader.batch(held).flatten(1).float()
    return Space(drawn, validation, read, unit, scale=drawn.shape[1] ** -0.5)
