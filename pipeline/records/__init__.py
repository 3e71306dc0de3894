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
    TimeRecord,
    VariantRecord,
)
from .history import HISTORY, HistoryRecord, read_history
from .run import (
    AnchorRecord,
    ArtifactRecord,
    ChosenRecord,
    DirectionRecord,
    ExportedRecord,
    FindingRecord,
    FreshScore,
    GitRecord,
    InitRecord,
    MachineRecord,
    MadeRecord,
    Plain,
    RunRecord,
    ScoreRecord,
    SelectionRecord,
    StretchRecord,
    TrainingRecord,
)

__all__ = [
    "HISTORY",
    "AnchorRecord",
    "ArtifactRecord",
    "ChosenRecord",
    "ComparisonRecord",
    "CostRecord",
    "DirectionRecord",
    "ErrorRecord",
    "ExportedRecord",
    "FindingRecord",
    "FreshScore",
    "GitRecord",
    "HistoryRecord",
    "InitRecord",
    "MachineRecord",
    "MadeRecord",
    "MetricRecord",
    "PairRecord",
    "Plain",
    "RunRecord",
    "ScoreRecord",
    "SelectionRecord",
    "StretchRecord",
    "TimeRecord",
    "TrainingRecord",
    "VariantRecord",
    "read_history",
]
