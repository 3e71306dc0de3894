"""Anchors: what a metric gives for real images against real ones, and for an untrained network.

Between the two a score can be read: 5.05 alone says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from ..diffusion.generate import SampleRequest, generate
from ..diffusion.measure import extract, score_features, score_record
from ..diffusion.model import build_network
from ..errors import InputError
from ..machine import reusing_memory
from ..plugin.contracts import Features, Metric
from ..plugin.rows import Rows
from ..progress import track
from ..recipe.schema import Recipe
from ..records import AnchorRecord, Plain, ScoreRecord
from ..store.checked import as_written
from ..store.folders import write_text
from ..store.store import Artifact
from .embed import BATCH, embed, embedded, extractor_id, read_features
from .files import SAMPLES, SCORE
from .prepare import read_images
from .sample import drawing_model, write_samples
from .session import Session

UNTRAINED = 128
"""Samples of the untrained network, at most: it is so far away that more would not move it, and
they cost less than a hundred steps of any training."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What the anchors of a score need: the images, the model, and how its samples are drawn."""

    recipe: Recipe
    images: Artifact
    model: Artifact
    request: SampleRequest
    split: Literal["train", "validation"]
    """The real images that samples are compared with."""


def anchors(
    scale: Scale, metrics: Mapping[str, tuple[Metric, Features]], session: Session
) -> dict[str, AnchorRecord]:
    """The anchors of each metric; one that it cannot be computed for is left out.

    - ``real``: images of the other half, as many as samples are scored, in place of samples;
    - ``untrained``: samples of the recipe's network with new weights, at most 128.
    """
    found: dict[str, AnchorRecord] = {}
    for name, (metric, features) in metrics.items():
        found[name] = {}
        with suppress(InputError):  # too few images for this metric
            found[name]["real"] = _of_real(scale, metric, features, session)
        with suppress(InputError):
            found[name]["untrained"] = _of_untrained(scale, metric, features, session)
    return found


def _of_real(scale: Scale, metric: Metric, features: Features, session: Session) -> ScoreRecord:
    other: Literal["train", "validation"] = "train" if scale.split == "validation" else "validation"
    real = embed(scale.images, scale.split, features, session)
    indices = read_images(scale.images).indices(other)
    # In the order of the dataset the first ones may be of one class.
    count = min(len(indices), scale.request.num_images)
    chosen = np.sort(np.random.default_rng(0).permutation(len(indices))[:count])
    compared = {"images": scale.images.content, "part": other, "number": count}
    protocol = {"anchor": f"{other} images", "split": scale.split}

    def rows() -> Rows:
        if there := embedded(scale.images, other, features, session):
            return read_features(there)[torch.from_numpy(chosen)]
        reader = read_images(scale.images)
        batches = (
            reader.batch(indices[chosen[start : start + BATCH]]).to(session.device)
            for start in range(0, count, BATCH)
        )
        return torch.cat([*extract(session.extractor(features), batches)])

    return _score(real, compared, rows, metric, protocol, session)


def _of_untrained(
    scale: Scale, metric: Metric, features: Features, session: Session
) -> ScoreRecord:
    samples = _untrained_samples(scale, session)
    real = embed(scale.images, scale.split, features, session)
    fake = embed(samples, "all", features, session)
    drawn = scale.request.protocol(session.registry)
    protocol = {"anchor": "untrained network", **drawn, "split": scale.split}
    compared = {"samples' features": fake.key}
    return _score(real, compared, lambda: read_features(fake), metric, protocol, session)


def _untrained_samples(scale: Scale, session: Session) -> Artifact:
    recipe = scale.recipe
    request = replace(scale.request, num_images=min(scale.request.num_images, UNTRAINED))
    # The codec is fitted to the images, unless the weights came with one.
    inputs = {"model": scale.model.key} if recipe.train.init else {"images": scale.images.content}
    stages = {"schedule": recipe.schedule, "objective": recipe.objective}
    stages |= {"backbone": recipe.backbone, "codec": recipe.codec}
    ingredients = {
        **{kind: session.registry.describe(stage) for kind, stage in stages.items()},
        "condition": recipe.train.condition,
        "network seed": recipe.seed,
        **request.ingredients(session.registry),
        "inputs": inputs,
    }

    def build(folder: Path) -> None:
        trained = drawing_model(scale.model.path, request, session)
        network = build_network(recipe, trained.shape, trained.class_names, session.device)
        model = trained.of(network.eval().requires_grad_(False))
        total = -(-request.num_images // request.batch_size)
        with reusing_memory():
            batches = generate(model, request, range(request.num_images))
            batches = track(batches, "sampling an untrained network", total)
            write_samples(folder / SAMPLES, batches, request.num_images, model.image_shape)

    return session.store.get_or_build("untrained-samples", ingredients, build)


def _score(
    real: Artifact,
    compared: Plain,
    rows: Callable[[], Rows],
    metric: Metric,
    protocol: Plain,
    session: Session,
) -> ScoreRecord:
    """The score of rows of features against the real ones; ``compared`` is what they are of."""
    protocol = {"extractor": extractor_id(real), **protocol}
    ingredients = {
        "metric": session.registry.describe(metric),
        "inputs": {"real features": real.key},
        "compared": compared,
        "protocol": protocol,
    }

    def build(folder: Path) -> None:
        record = score_record(score_features(read_features(real), rows(), metric, protocol))
        write_text(folder / SCORE, json.dumps(record, indent=2, allow_nan=False))

    file = session.store.get_or_build("anchor", ingredients, build).path / SCORE
    with as_written(file):
        record: ScoreRecord = json.loads(file.read_bytes())
        return record
