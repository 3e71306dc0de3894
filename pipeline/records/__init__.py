"""The JSON that a run and a comparison leave for people, typed, each in one place.

``run.json`` is a ``RunRecord``, a line of ``history.jsonl`` a ``HistoryRecord``, ``scores.json``
maps metrics to ``ScoreRecord``, and ``compare.json`` is a ``ComparisonRecord``.
"""

from .comparison import (
    ComparisonRecord,
    CostRecord,
    ErrorRecord,
    MetricRecord,
    PairRecord,
    VariantRecord,
)
from .history import HISTORY, HistoryRecord, read_history
from .run import (
    ArtifactRecord,
    ChosenRecord,
    DirectionRecord,
    FindingRecord,
    FreshScore,
    MachineRecord,
    Plain,
    RunRecord,
    ScoreRecord,
    SelectionRecord,
    StretchRecord,
    TrainingRecord,
)

__all__ = [
    "HISTORY",
    "ArtifactRecord",
    "ChosenRecord",
    "ComparisonRecord",
    "CostRecord",
    "DirectionRecord",
    "ErrorRecord",
    "FindingRecord",
    "FreshScore",
    "HistoryRecord",
    "MachineRecord",
    "MetricRecord",
    "PairRecord",
    "Plain",
    "RunRecord",
    "ScoreRecord",
    "SelectionRecord",
    "StretchRecord",
    "TrainingRecord",
    "VariantRecord",
    "read_history",
]
