"""How near generated images are to real ones, and on what that was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .contracts import Score
from .embed import extractor_id, read_features
from .errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from .contracts import Metric
    from .registry import Registry
    from .store import Artifact, Store


def score(real: Tensor, fake: Tensor, metric: Metric, protocol: Mapping[str, Any]) -> Score:
    """The metric of features (N, D) and (M, D), with the metric's protocol and the engine's in one.

    ``protocol`` has of ``extractor`` (id), ``sampler`` (name and options), ``num_steps``,
    ``spacing``, ``split`` and ``resolution`` what applies. InputError for features of other
    dimensions.
    """
    if real.shape[1:] != fake.shape[1:]:
        raise InputError(
            f"features of real images have shape {tuple(real.shape)}, of generated ones "
            f"{tuple(fake.shape)}: extract both with the same features"
        )
    found = metric(real, fake)
    counts = {"num_real": len(real), "num_fake": len(fake)}
    if getattr(metric, "ideal", 0.0) is None:  # it did not look at them
        del counts["num_real"]
    return replace(found, protocol={**found.protocol, **counts, **protocol})


def score_artifact(
    real: Artifact,
    fake: Artifact,
    metric: Metric,
    protocol: Mapping[str, Any],
    registry: Registry,
    store: Store,
) -> Artifact:
    """The score of two artifacts of features, kept as ``score.json``.

    InputError when they were extracted by different networks, weights or sizes.
    """
    extractor, other = extractor_id(real), extractor_id(fake)
    if extractor != other:
        raise InputError(
            f"features of real images are of {extractor}, of generated ones of {other}: "
            "only features of one extractor can be compared"
        )
    protocol = {"extractor": extractor, **protocol}

    def build(folder: Path) -> None:
        made = score(read_features(real), read_features(fake), metric, protocol)
        (folder / "score.json").write_text(json.dumps(as_data(made), indent=2, allow_nan=False))

    ingredients = {
        "metric": registry.describe(metric),
        "inputs": {"real features": real.key, "samples' features": fake.key},
        "protocol": protocol,
    }
    return store.get_or_build("score", ingredients, build)


def read_score(artifact: Artifact) -> Score:
    """What ``score_artifact`` kept."""
    return Score(**json.loads((artifact.path / "score.json").read_text()))


def as_data(score: Score) -> dict[str, Any]:
    """For JSON. What the metric has not, a standard error or parts, is left out."""
    error = {} if score.standard_error is None else {"standard_error": score.standard_error}
    parts = {"parts": dict(score.parts)} if score.parts else {}
    return {"value": score.value, **error, **parts, "protocol": dict(score.protocol)}
