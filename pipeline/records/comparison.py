"""``compare.json``."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from .run import AnchorRecord, DirectionRecord, MachineRecord, Plain, ScoreRecord


class CostRecord(TypedDict):
    """The costs of a variant; ``steps`` and ``nfe`` are its recipe's, the others were measured."""

    parameters: int
    seconds_a_step: float
    """The median."""
    seconds_a_step_half: NotRequired[tuple[float, float]]
    """Between what half of the steps took; not in older records, nor are those of images."""
    images_per_second: float
    """Drawn with the variant's sampler and steps; the median."""
    images_per_second_half: NotRequired[tuple[float, float]]
    peak_memory: int
    """Bytes."""
    steps: NotRequired[int]
    nfe: NotRequired[int]


class VariantRecord(TypedDict):
    """A variant with its trials, one for each training seed."""

    name: str
    changes: list[str]
    recipe: str
    runs: list[str]
    scores: dict[str, list[ScoreRecord]]
    cost: CostRecord


class ErrorRecord(TypedDict):
    """A difference's error from one source: training seeds or finite samples."""

    standard_error: float
    interval: tuple[float, float]
    p: float
    method: NotRequired[str]
    degrees_of_freedom: NotRequired[float]
    smallest_seen: NotRequired[float]


class PairRecord(TypedDict):
    """Two variants by one metric: the second's value minus the first's, and the verdict."""

    metric: str
    first: str
    second: str
    difference: float
    by_seed: list[float]
    finite_samples: ErrorRecord | None
    training_seeds: ErrorRecord | None
    p_corrected: float | None
    better: str | None
    verdict: str


class MetricRecord(DirectionRecord):
    """A metric of a comparison."""

    protocol: Plain
    """The entries that the protocols of all trials share."""
    anchors: NotRequired[AnchorRecord]
    """The untrained network is the first variant's; not in older records."""
    correction: str | None


class TimeRecord(TypedDict):
    """How long all trials of a comparison were trained."""

    seconds: float
    """Without validations; a training that trials share counts once."""
    trainings: NotRequired[int]
    """How many trainings these are; not in older records."""


class ComparisonRecord(TimeRecord):
    """``compare.json``."""

    name: str
    command: str
    finished: str
    machine: MachineRecord
    versions: dict[str, str]
    seeds: list[int]
    budget: str | None
    notes: list[str]
    metrics: dict[str, MetricRecord]
    variants: list[VariantRecord]
    pairs: list[PairRecord]
