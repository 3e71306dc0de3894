"""The files of artifacts, by name. Reading them needs no torch; a run's page has none."""

from __future__ import annotations

IMAGES = "images.h5"
FEATURES = "features.h5"
SAMPLES = "samples.h5"
TRACE = "trace.h5"
SCORE = "score.json"
UNUSABLE = "unusable.json"
NEIGHBOURS = "neighbours.json"
