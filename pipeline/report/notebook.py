"""A run as a notebook shows it: samples and scores, and curves while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..format import clock, number
from ..records import HistoryRecord, RunRecord
from .encode import encode
from .page import render
from .training_curves import loss_names, metric_names, training_charts
from .wording import score_words

BUDGET = 1_500_000
"""Bytes of the picture in a notebook."""

LIVE_BUDGET = 300_000
"""Bytes of the picture while training: it is sent anew at each validation."""


def notebook_view(record: RunRecord, samples: bytes) -> str:
    """HTML for a cell's output; ``samples`` is the PNG file of the run's samples."""
    directions = record["metrics"]
    return render(
        "notebook.html",
        name=record["name"],
        picture=encode([samples], BUDGET).uris[0],
        scores=[
            score_words(name, score, directions.get(name), record.get("anchors", {}).get(name))
            for name, score in record["scores"].items()
        ],
    )


def live_page(name: str, history: Sequence[HistoryRecord], grid: bytes | None) -> str:
    """The page of a run that is not finished; ``grid`` is the newest PNG file of samples."""
    state = "is being trained: curves and pictures come with the first validation"
    if history:
        last = history[-1]
        values = {"loss": last.validation.get("loss")}
        values |= {metric: score["value"] for metric, score in last.scores.items()}
        told = [f"{n} {number(value)}" for n, value in values.items() if value is not None]
        state = " · ".join(["not finished", f"step {last.step:,}", clock(last.seconds), *told])
    return render(
        "live.html",
        name=name,
        state=state,
        picture=encode([grid], LIVE_BUDGET).uris[0] if grid else "",
        curves=training_charts(history, {}, 1)[: _shown(history)],
    )


def live_view(name: str, history: Sequence[HistoryRecord], grid: bytes | None) -> str:
    """HTML for a cell's output while a run trains; ``grid`` is the newest PNG file of samples.

    It is in a frame, so that its style is not the notebook's.
    """
    page = live_page(name, history, grid)
    height = 240 + 370 * ((_shown(history) + 1) // 2) if history else 60  # two charts in a row
    return (
        f'<div><iframe srcdoc="{escape(page)}" title="Training of {escape(name)}" '
        f'style="width: 100%; height: {height}px; border: 0"></iframe></div>'
    )


def _shown(history: Sequence[HistoryRecord]) -> int:
    """How many charts are shown: the one of speed is for the page of the finished run."""
    return len(loss_names(history)) + len(metric_names(history))
