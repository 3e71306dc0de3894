"""Images to features, computed once and kept under their content key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import h5py
import torch
from torch import Tensor

from ..diffusion.images import Images
from ..diffusion.measure import extract
from ..progress import track
from .prepare import FILE as IMAGES

if TYPE_CHECKING:
    from ..plugin.contracts import Extractor, Features
    from ..plugin.registry import Registry
    from ..store.store import Artifact, Store

Part = Literal["train", "validation", "all"]
"""Of prepared images training or validation; of samples all."""


def embed(
    images: Artifact,
    part: Part,
    features: Features,
    extractor: Extractor,
    registry: Registry,
    store: Store,
    device: str = "cpu",
) -> Artifact:
    """The features of prepared images or of samples, row i of image i of their part.

    ``extractor`` is what ``features()`` made, on ``device``.
    """

    def build(folder: Path) -> None:
        batches = (batch.to(device) for batch in _batches(images, part))
        with h5py.File(folder / "features.h5", "w") as file:
            values = extract(extractor, batches).numpy()
            file.create_dataset("features", data=values, chunks=True, fletcher32=True)
            file.attrs["id"] = extractor.id

    ingredients = {
        "features": registry.describe(features),
        "extractor": extractor.id,  # holds the weights' digest
        "inputs": {"samples" if part == "all" else "images": images.key},
        "split": part,
    }
    kind = "sample-features" if part == "all" else "features"
    return store.get_or_build(kind, ingredients, build)


class Embedder:
    """``embed`` on one device, each extractor loaded once and all images embedded once.

    So what was made for validation is still told as made when the scores use it again.
    """

    def __init__(self, registry: Registry, store: Store, device: str) -> None:
        self.registry, self.store, self.device = registry, store, device
        self._loaded: dict[str, Extractor] = {}
        self._made: dict[tuple[str, Part, str], Artifact] = {}

    def extractor(self, features: Features) -> Extractor:
        """Weights and all, on the device."""
        key = json.dumps(self.registry.spec(features), sort_keys=True)  # places too: other weights
        if key not in self._loaded:
            self._loaded[key] = features().to(self.device)
        return self._loaded[key]

    def __call__(self, images: Artifact, part: Part, features: Features) -> Artifact:
        """As ``embed``."""
        extractor = self.extractor(features)
        place = images.key, part, extractor.id
        if place not in self._made:
            self._made[place] = embed(
                images, part, features, extractor, self.registry, self.store, self.device
            )
        return self._made[place]


def read_features(features: Artifact) -> Tensor:
    """float32 (N, D)."""
    with h5py.File(features.path / "features.h5") as file:
        return torch.from_numpy(file["features"][:])


def extractor_id(features: Artifact) -> str:
    """Of the extractor that made them."""
    with h5py.File(features.path / "features.h5") as file:
        return str(file.attrs["id"])


def _batches(images: Artifact, part: Part, size: int = 64) -> Iterator[Tensor]:
    """uint8 (n, C, H, W), with progress."""
    if part == "all":
        with h5py.File(images.path / "samples.h5") as file:
            pixels = file["images"]
            for i in _starts(len(pixels), size):
                yield torch.from_numpy(pixels[i : i + size])
    else:
        reader = Images(images.path / IMAGES)
        indices = reader.indices(part)
        for i in _starts(len(indices), size):
            yield reader.batch(indices[i : i + size])


def _starts(count: int, size: int) -> Iterator[int]:
    starts = range(0, count, size)
    return track(starts, "extracting features, batch", len(starts))
