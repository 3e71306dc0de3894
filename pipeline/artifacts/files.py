"""The files of artifacts, by name. Reading them needs no torch; a run's page has none."""

from __future__ import annotations

import json
from pathlib import Path

from ..diagnosis.pictures import NeighboursRecord
from ..store.checked import as_written

IMAGES = "images.h5"
LATENTS = "latents.h5"
CODEC = "codec"
FEATURES = "features.h5"
SAMPLES = "samples.h5"
TRACE = "trace.h5"
SCORE = "score.json"
UNUSABLE = "unusable.json"
NEIGHBOURS = "neighbours.json"


def neighbours_in(file: Path) -> NeighboursRecord:
    """The record in ``neighbours.json``. Damaged, an InputError, where it is of another form."""
    with as_written(file):
        data = json.loads(file.read_bytes())
        return {
            "unit": str(data["unit"]),
            "items": [
                {
                    "sample": int(item["sample"]),
                    "indices": [int(index) for index in item["indices"]],
                    "distances": [float(distance) for distance in item["distances"]],
                }
                for item in data["items"]
            ],
            "validation": [float(distance) for distance in data["validation"]],
        }
