"""A finished run as a notebook shows it: its samples and scores."""

from __future__ import annotations

from ..records import RunRecord
from .encode import encode
from .page import render
from .wording import score_words

BUDGET = 1_500_000
"""Bytes of the picture in a notebook."""


def notebook_view(record: RunRecord, samples: bytes) -> str:
    """HTML for a cell's output; ``samples`` is the PNG file of the run's samples."""
    directions = record["metrics"]
    return render(
        "notebook.html",
        name=record["name"],
        picture=encode([samples], BUDGET).uris[0],
        scores=[score_words(n, score, directions.get(n)) for n, score in record["scores"].items()],
    )
