"""Images to latents, for a codec whose x0 has another shape: encoded once and kept.

Other codecs take no time, and encode each batch of a training as it comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..diffusion.images import Images, Latents
from ..machine import reusing_memory
from ..plugin.data import LatentCodec
from ..progress import track
from ..recipe.schema import Recipe
from ..store.hdf5 import as_texts, write_rows, writing
from ..store.store import Artifact
from ..store.weights import write_weights
from ..training.init import Init
from .files import CODEC, IMAGES, LATENTS
from .prepare import read_images
from .session import Session

FITTED = 512
"""Training images that a codec is fitted to, at most: to encode all twice would take twice the
time."""
BATCH, CHUNK = 32, 16
"""Images that are encoded at once, and those that share a checksum."""


def encode(recipe: Recipe, images: Artifact, session: Session, init: Init | None) -> Artifact:
    """What a training reads, by ``read_encoded``: the latents of the images, or the images.

    The codec is in the state of ``init``, whose weights know no other space, or is fitted.
    """
    codec = recipe.codec
    if not isinstance(codec, LatentCodec):
        return images
    ingredients = {
        "codec": session.registry.describe(codec),
        "weights": None if init else codec.fingerprint(session.store.digest),
        "init": init.digest if init else None,
        "inputs": {"images": images.content},
    }

    def build(folder: Path) -> None:
        reader = read_images(images)
        fitted = init.codec_state if init else codec.fit(_some(reader))
        state = {name: value.to(session.device) for name, value in fitted.items()}
        x0 = _encoded(codec, state, reader, session.device)
        shape = codec.latent_shape(reader.shape)
        with reusing_memory(), writing(folder / LATENTS) as file:
            write_rows(file, "latents", x0, (len(reader), *shape), CHUNK)
            file["labels"], file["validation"] = reader.labels, reader.is_validation
            file["class_names"] = as_texts(reader.class_names)
            file["image_shape"] = np.array(reader.shape, np.int64)
        write_weights(folder / CODEC, dict(fitted), {})

    return session.store.get_or_build("latents", ingredients, build)


def read_encoded(encoded: Artifact) -> Images:
    """The reader of what ``encode`` gave."""
    if encoded.kind == "latents":
        return Latents(encoded.path, LATENTS, CODEC)
    return Images(encoded.path / IMAGES)


def _some(images: Images) -> Iterator[Tensor]:
    """Batches of training images from all over the dataset, whose order may be that of classes."""
    indices = images.indices("train")
    chosen = np.sort(np.random.default_rng(0).permutation(indices)[:FITTED])
    starts = range(0, len(chosen), BATCH)
    for start in track(starts, "fit the codec", len(starts)):
        yield images.batch(chosen[start : start + BATCH])


@torch.no_grad()
def _encoded(
    codec: LatentCodec, state: Mapping[str, Tensor], images: Images, device: str
) -> Iterator[np.ndarray]:
    """x0 of all images in order, a batch at a time."""
    starts = range(0, len(images), BATCH)
    for start in track(starts, "encode images", len(starts)):
        batch = images.batch(np.arange(start, min(start + BATCH, len(images))))
        yield codec.encode(batch.to(device), state).cpu().numpy()
