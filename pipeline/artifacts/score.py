"""How near generated images are to real ones, and on what that was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..diffusion.measure import as_data, score_features
from ..errors import InputError
from ..plugin.contracts import Score
from .embed import extractor_id, read_features

if TYPE_CHECKING:
    from ..plugin.contracts import Metric
    from ..plugin.registry import Registry
    from ..store.store import Artifact, Store


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
        made = score_features(read_features(real), read_features(fake), metric, protocol)
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
