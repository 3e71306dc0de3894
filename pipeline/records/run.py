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


class AnchorRecord(TypedDict, total=False):
    """What a metric gives at both ends; one for which it cannot be computed is left out."""

    real: ScoreRecord
    """Of real images of the other half, in place of samples."""
    untrained: ScoreRecord
    """Of samples of the network with new weights."""


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
    compiled: NotRequired[bool]
    processes: NotRequired[int]
    """How many trained together, each with so many threads; left out for one."""


class InitRecord(TypedDict):
    """The averaged weights of another model, which a training began with."""

    name: str
    """The other run's, or the file's path."""
    digest: str
    """SHA-256 of their content, as it is in the training's key."""
    started: int
    """Tensors of the network that began with them."""
    tensors: int
    """Tensors of the network."""


class TrainingRecord(TypedDict):
    """How a model came to be."""

    init: NotRequired[InitRecord]
    """Not where the weights were new."""
    stretches: list[StretchRecord]
    apart: NotRequired[str]
    """Why it was trained from the start although a training of these steps was there."""


class MadeRecord(TypedDict):
    """One time that a run was gone through and something of it was built."""

    finished: str
    """ISO 8601, UTC."""
    command: str
    device: str
    built: dict[str, str]
    """Why each artifact was built, by its name in the run."""


class GitRecord(TypedDict):
    """The state of the repository of the folder that a run was made in."""

    commit: str
    changed: list[str]
    """Files that differ from the commit; such that git does not know are not among them."""


class ExportedRecord(TypedDict):
    """What an exported run holds, beside what is told of it."""

    model: str
    """The key of the model that it was exported from."""
    weights: list[str]
    """``ema``, and ``raw`` where it was asked for."""
    dtype: str
    """float32, or float16 where it was asked for."""


class RunRecord(TypedDict):
    """``run.json`` of a finished run."""

    name: str
    unfinished: NotRequired[str]
    """How far training is, in words; only while the run is not finished, and in no file."""
    recipe: Plain
    """Every value, defaults too."""
    changes: NotRequired[list[str]]
    """``upsampler=nearest`` for each ``--set``; not in records of older versions."""
    store: str
    """Relative to the run's folder."""
    artifacts: dict[str, ArtifactRecord]
    scores: dict[str, ScoreRecord]
    anchors: NotRequired[dict[str, AnchorRecord]]
    """By metric; not in records of older versions."""
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
    plugin_files: NotRequired[dict[str, str]]
    """SHA-256 of their copies, by the path in the run's folder and in the order of ``plugins``."""
    git: NotRequired[GitRecord]
    """Not where the folder is in no repository."""
    exported: NotRequired[ExportedRecord]
    """Only in an exported run."""
    chosen: NotRequired[dict[str, str]]
    """Values of the recipe that follow from a folder of photos, with the reasons."""
    left_out: NotRequired[list[str]]
    """Images that could not be used, with the reason, where the recipe leaves them out."""
    command: str
    versions: dict[str, str]
    """Of numpy, torch and each distribution that a stage comes from."""
    made: NotRequired[list[MadeRecord]]
    """How it came to be, oldest first; not in records of older versions."""
    finished: str
    """ISO 8601, UTC."""
    files: NotRequired[dict[str, str]]
    """SHA-256 of the other files in the folder that do not change any more."""
