"""The history of a training: what is said about it as it grows."""

from __future__ import annotations

from collections.abc import Sequence

from ..diagnosis.diagnosis import find_in_training
from ..progress import note
from ..recipe.schema import Ema
from ..records import HistoryRecord


def say_news(history: Sequence[HistoryRecord], ema: Ema) -> None:
    """Tell what the last validation shows and the one before did not."""
    known = {finding.name for finding in find_in_training(history[:-1], ema)}
    for finding in find_in_training(history, ema):
        if finding.name not in known:
            note(str(finding))
