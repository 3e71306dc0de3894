"""``run.json`` and ``scores.json``."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

Plain = dict[str, Any]
"""Plain data as JSON has it, whose keys a stage or a recipe decides."""


class ScoreRecord(TypedDict):
    """A metric's value; what the metric does not have, an error or parts, is left out."""

    value: float
    standard_error: NotRequired[float]
    parts: NotRequired[dict[str, float]]
    """Further values that ``value`` was made from, such as precision and recall."""
    protocol: Plain
    """How it was measured: values compare where this is equal."""


class DirectionRecord(TypedDict):
    """Which way a metric is better."""

    higher_is_better: bool
    ideal: float | None
    """The value for equal distributions; None where the metric looks at one side only."""


class ArtifactRecord(TypedDict):
    """Where an artifact is in the store, and why it was built."""

    kind: str
    key: str
    reused: bool
    why: str


class FreshScore(TypedDict):
    """A score on samples that did not choose the checkpoint."""

    value: float
    standard_error: NotRequired[float]


class ChosenRecord(FreshScore):
    """The measurement that chose the best checkpoint."""

    name: str
    protocol: NotRequired[Plain]


class SelectionRecord(TypedDict):
    """Which checkpoint is the best, by what, and how it scores on fresh samples."""

    checkpoint: str
    step: int
    chosen_by: ChosenRecord
    fresh: dict[str, FreshScore]


class FindingRecord(TypedDict):
    """One finding of the diagnosis."""

    name: str
    what: str
    do: str


class MachineRecord(TypedDict):
    """The machine that a run was made on."""

    cpu: str
    cores: int
    memory: int
    """Bytes."""
    device: str
    python: str
    platform: str


class StretchRecord(TypedDict):
    """On what a training ran from a step on: equal to the bit is only what ran on the same."""

    first_step: int
    device: str
    threads: int
    torch: str
    """Its version."""


class TrainingRecord(TypedDict):
    """How a model came to be."""

    stretches: list[StretchRecord]
    apart: NotRequired[str]
    """Why it was trained from the start although a training of these steps was there."""


class RunRecord(TypedDict):
    """``run.json`` of a finished run."""

    name: str
    recipe: Plain
    """Every value, defaults too."""
    store: str
    """Relative to the run's folder."""
    artifacts: dict[str, ArtifactRecord]
    scores: dict[str, ScoreRecord]
    metrics: dict[str, DirectionRecord]
    parameters: int
    captions: NotRequired[list[str]]
    """The class of each sample, where there are classes."""
    training: NotRequired[TrainingRecord]
    """Not in records of older versions."""
    selection: SelectionRecord
    diagnosis: list[FindingRecord]
    device: str
    machine: MachineRecord
    plugins: list[str]
    """Plugin files that it was made with."""
    left_out: NotRequired[list[str]]
    """Images that could not be used, with the reason, where the recipe leaves them out."""
    command: str
    versions: dict[str, str]
    finished: str
    """ISO 8601, UTC."""
    files: NotRequired[dict[str, str]]
    """SHA-256 of the other files in the folder that do not change any more."""
