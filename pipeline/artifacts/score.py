"""Features of real and of generated images to a score."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter

from ..diffusion.measure import score_features, score_record
from ..errors import InputError
from ..plugin.contracts import Metric
from ..plugin.values import Score
from ..store.checked import as_written
from ..store.folders import write_text
from ..store.store import Artifact
from .embed import extractor_id, read_features
from .files import SCORE
from .session import Session


def score(
    real: Artifact,
    fake: Artifact,
    metric: Metric,
    protocol: Mapping[str, object],
    session: Session,
) -> Artifact:
    """The score of two artifacts of features, which ``read_score`` reads.

    InputError when they were extracted by different networks, weights or sizes.
    """
    extractor, other = extractor_id(real), extractor_id(fake)
    if extractor != other:
        raise InputError(
            f"features of real images are of {extractor}, of generated ones of {other}: "
            "only features of one extractor can be compared"
        )
    protocol = {"extractor": extractor, **protocol}
    ingredients = {
        "metric": session.registry.describe(metric),
        "inputs": {"real features": real.key, "samples' features": fake.key},
        "protocol": protocol,
    }

    def build(folder: Path) -> None:
        value = score_features(read_features(real), read_features(fake), metric, protocol)
        text = json.dumps(score_record(value), indent=2, allow_nan=False)
        write_text(folder / SCORE, text)

    return session.store.get_or_build("score", ingredients, build)


def read_score(artifact: Artifact) -> Score:
    """The score that the artifact holds."""
    file = artifact.path / SCORE
    with as_written(file):
        return TypeAdapter(Score).validate_json(file.read_bytes())
