"""Scores and features of trials, drawn from the same noise in every variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ..artifacts.embed import Embedder, read_features
from ..artifacts.prepare import FILE
from ..artifacts.sample import read_samples, sample
from ..artifacts.score import read_score, score_artifact
from ..diffusion.generate import SampleRequest
from ..diffusion.images import Images
from ..plugin.contracts import Features, Metric, Score
from ..runs.evaluate import recipe_of_run
from ..runs.folder import read_run
from ..runs.run import protocol_of, scored_of, split_of
from ..store.store import Artifact
from .trials import Trial


@dataclass(frozen=True)
class Scored:
    """A trial with what it drew."""

    trial: Trial
    scores: Mapping[str, Score]
    features: Mapping[str, tuple[Tensor, Tensor]]
    """By metric: of the real images (N, D) and of the samples (M, D), row i of image i."""
    samples: Artifact
    nfe: int
    steps: int
    """Of training, at the end."""

    def pictures(self, count: int) -> Tensor:
        """The first samples, uint8 (count, C, H, W)."""
        return read_samples(self.samples)[:count]


def scored(
    trial: Trial,
    seed: int,
    num_steps: int | None,
    metrics: Mapping[str, tuple[Metric, Features]],
    embedder: Embedder,
) -> Scored:
    """The trial's samples from the noise of ``seed``, as its recipe scores them."""
    registry, store = embedder.registry, embedder.store
    about = read_run(trial.folder)
    recipe = replace(recipe_of_run(about, registry), seed=seed)
    real = store.open("images", about["artifacts"]["images"]["key"])
    images = Images(real.path / FILE)
    order: SampleRequest = scored_of(recipe, images)
    order = replace(order, num_steps=num_steps or order.num_steps)
    model = store.open("model", about["artifacts"]["model"]["key"])
    drawn = sample(model, order, registry, store, embedder.device)
    split = split_of(recipe)
    protocol = {**protocol_of(order, registry, images), "split": split}
    scores, features = {}, {}
    for name, (metric, wanted) in metrics.items():
        sides = embedder(real, split, wanted), embedder(drawn, "all", wanted)
        made = score_artifact(*sides, metric, protocol, registry, store)
        scores[name] = read_score(made)
        features[name] = read_features(sides[0]), read_features(sides[1])
    steps = model.manifest["ingredients"]["steps"]
    return Scored(trial, scores, features, drawn, order.nfe, steps)


def shared_protocol(found: Sequence[Scored], metric: str) -> dict[str, Any]:
    """What the protocols of all trials have in common."""
    first, *others = (one.scores[metric].protocol for one in found)
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}
