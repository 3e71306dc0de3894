"""By what a run's best checkpoint was chosen, and what it scores on other samples."""

from __future__ import annotations

from collections.abc import Mapping

from ..records import ChosenRecord, FreshScore, HistoryRecord, ScoreRecord, SelectionRecord


def selection_of(best: HistoryRecord, scores: Mapping[str, ScoreRecord]) -> SelectionRecord:
    """By what the best checkpoint was chosen, and its scores on samples that did not choose it."""
    fresh = {name: _fresh(score) for name, score in scores.items()}
    return {
        "checkpoint": "best",
        "step": best.step,
        "chosen_by": _chosen_by(best),
        "fresh": fresh,
    }


def _chosen_by(best: HistoryRecord) -> ChosenRecord:
    for name, score in best.scores.items():  # the first metric chooses
        return {"name": name, **_fresh(score), "protocol": score["protocol"]}
    return {"name": "validation_loss", "value": best.validation["loss"]}


def _fresh(score: ScoreRecord) -> FreshScore:
    value = FreshScore(value=score["value"])
    if "standard_error" in score:
        value["standard_error"] = score["standard_error"]
    return value
