"""The training images nearest to generated ones: does the model draw, or does it copy?"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..diagnosis.pictures import NeighboursRecord
from ..diffusion.images import Images, Indices
from ..format import evenly
from ..plugin.contracts import Features
from ..plugin.registry import Registry
from ..progress import progress
from ..store.store import Artifact, Store
from .embed import Embedder, read_features
from .prepare import FILE
from .sample import read_samples

SAMPLES, NEAREST = 64, 3
"""Samples that are looked at, and training images for each."""

FOR_SCALE = 256
"""Validation images whose distances say what is usual: enough for a median."""

NUMBERS = 2**24
"""Of training images in memory at a time: 64 MB."""


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
    images: Artifact,
    samples: Artifact,
    features: Features | None,
    embedder: Embedder,
    registry: Registry,
    store: Store,
) -> Artifact:
    """An artifact with ``neighbours.json``, which ``read_neighbours`` reads.

    Distances are between these features, or between pixels where there are none.
    """
    inputs = {"samples": samples, "images": images}
    if features:
        inputs["features of samples"] = embedder(samples, "all", features)
        inputs["features of training images"] = embedder(images, "train", features)
        inputs["features of validation images"] = embedder(images, "validation", features)
    ingredients: dict[str, Any] = {
        "features": registry.describe(features) if features else None,
        "extractor": embedder.extractor(features).id if features else None,
        "counts": {"samples": SAMPLES, "nearest": NEAREST, "for scale": FOR_SCALE},
        "inputs": {name: one.key for name, one in inputs.items()},
    }

    def build(folder: Path) -> None:
        reader = Images(images.path / FILE)
        held = reader.indices("validation")
        # Evenly: datasets often come in the order of classes.
        some = np.array(evenly(len(held), FOR_SCALE), dtype=np.int64)
        if features:
            space = _of_features(inputs, some, embedder.extractor(features).id)
        else:
            space = _of_pixels(reader, samples, held[some])
        found = compare(space, reader.indices("train"))
        (folder / "neighbours.json").write_text(json.dumps(found, allow_nan=False))

    return store.get_or_build("neighbours", ingredients, build)


def read_neighbours(artifact: Artifact) -> NeighboursRecord:
    """Plain data: ``unit``, ``items`` and ``validation``.

    An item has ``sample`` (its number), and ``indices`` (among all prepared images) and
    ``distances`` of the training images nearest to it, the nearest first. ``validation`` are the
    distances of validation images to their nearest training image, for scale.
    """
    record: NeighboursRecord = json.loads((artifact.path / "neighbours.json").read_text())
    return record


def compare(space: Space, train: Indices) -> NeighboursRecord:
    """What ``read_neighbours`` gives; ``train`` are the indices of the training images."""
    places, distances = nearest(space.samples, space.train, len(train), NEAREST)
    _, usual = nearest(space.validation, space.train, len(train), 1)
    return {
        "unit": space.unit,
        "items": [
            {"sample": i, "indices": train[row].tolist(), "distances": (far * space.scale).tolist()}
            for i, (row, far) in enumerate(zip(places.numpy(), distances, strict=True))
        ],
        "validation": (usual[:, 0] * space.scale).tolist(),
    }


def nearest(
    queries: Tensor, read: Callable[[Indices], Tensor], count: int, k: int
) -> tuple[Tensor, Tensor]:
    """Of ``count`` rows the k nearest to each query (N, D): places and distances (N, k), ascending.

    Blocks of rows are compared by a product of matrices, which is fast and cancels where rows are
    nearly equal; the distances to those found are then computed without.
    """
    k = min(k, count)
    places = torch.empty(len(queries), 0, dtype=torch.int64)
    found = torch.empty(len(queries), 0)
    size = max(1, NUMBERS // queries.shape[1])
    starts = range(0, count, size)
    with progress("nearest training images", len(starts)) as bar:
        for start in starts:
            rows = np.arange(start, min(start + size, count))
            far = torch.cdist(queries, read(rows), compute_mode="use_mm_for_euclid_dist")
            found = torch.cat([found, far], 1)
            places = torch.cat([places, torch.from_numpy(rows).expand(len(queries), -1)], 1)
            found, order = found.topk(min(k, found.shape[1]), largest=False)
            places = places.gather(1, order)
            bar.step()
    pairs = zip(queries, places.numpy(), strict=True)
    exact = torch.stack([(read(row) - query).norm(dim=1) for query, row in pairs])
    exact, order = exact.sort()
    return places.gather(1, order), exact


def _of_features(inputs: Mapping[str, Artifact], some: Indices, extractor: str) -> Space:
    drawn, train, held = (
        read_features(inputs[f"features of {name}"])
        for name in ("samples", "training images", "validation images")
    )
    unit = f"distance of features of {extractor}"
    return Space(drawn[:SAMPLES], held[some], lambda rows: train[rows], unit)


def _of_pixels(reader: Images, samples: Artifact, held: Indices) -> Space:
    train = reader.indices("train")

    def read(rows: Indices) -> Tensor:
        return reader.batch(train[rows]).flatten(1).float()

    drawn = read_samples(samples)[:SAMPLES].flatten(1).float()
    unit = "root mean square difference of pixels, 0 to 255"
    validation = reader.batch(held).flatten(1).float()
    return Space(drawn, validation, read, unit, scale=drawn.shape[1] ** -0.5)
