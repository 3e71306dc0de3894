"""What the commands return: plain data, the same that ``--json`` prints."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from ..records import ComparisonRecord, FindingRecord, Plain, RunRecord, ScoreRecord


class RunResult(RunRecord):
    """What ``run`` returns: ``run.json``, with ``store`` as the command has it."""

    folder: str
    sizes: dict[str, int]
    """Bytes of each artifact."""
    seconds: float


class ProbeRecord(TypedDict):
    """What a recipe comes to, found out before any heavy work."""

    num_images: int
    num_train: int
    shape: tuple[int, int, int]
    """(C, H, W) of the images that the network sees."""
    num_classes: int | None
    """The classes that the network is told; None without ``condition``."""
    num_parameters: int
    steps_per_epoch: int
    steps: int


class EstimateRecord(TypedDict):
    """What a run will take, from a few steps that were timed on this machine.

    Preparing the images, features and metrics are not in it.
    """

    device: str
    threads: int
    seconds_a_step: float
    training_seconds: float
    """All steps, without compiling."""
    compile_seconds: NotRequired[float]
    """What the first step takes longer where the network is compiled."""
    evaluations: int
    """Of the network, each of one image: to validate, and to draw and score images."""
    evaluation_seconds: float
    """All of these."""
    peak_memory: int
    """Bytes that a step takes: on a GPU all, on a CPU beyond libraries and images."""


class DryRunResult(TypedDict):
    """What ``run`` returns where it stops after the checks."""

    name: str
    recipe: Plain
    probe: ProbeRecord
    estimate: EstimateRecord


class SampleResult(TypedDict):
    """What ``sample`` returns."""

    run: str
    unfinished: NotRequired[str]
    """How far the run's training is, where it has not finished."""
    images: int
    grid: str
    folder: str
    reused: bool
    nfe: int
    sampler: Plain
    spacing: str | Plain
    labels: NotRequired[str]
    guidance_scale: NotRequired[float]
    guidance: NotRequired[object]
    classes: NotRequired[dict[str, str]]
    """The names of the classes that were drawn, by their numbers."""
    image: NotRequired[list[str]]
    """What drawing began from, in turn."""
    strength: NotRequired[float]
    mask: NotRequired[list[str]]
    seed: int
    precision: str
    ema: NotRequired[float]


class EvaluateResult(TypedDict):
    """What ``evaluate`` returns."""

    what: str
    unfinished: NotRequired[str]
    """How far the run's training is, where it has not finished."""
    against: str
    scores: dict[str, ScoreRecord]
    diagnosis: list[FindingRecord]


class ExportResult(TypedDict):
    """What ``export`` returns."""

    run: str
    path: str
    size: int
    """Bytes."""
    weights: list[str]
    dtype: str
    images: bool
    """Whether the prepared images are in it."""
    plugins: list[str]
    """Plugin files that are in it."""


class PushResult(TypedDict):
    """What ``push`` returns."""

    run: str
    address: str
    """``hf://user/name``, which every command takes for a run."""
    commit: str


class ImportResult(TypedDict):
    """What ``import`` returns."""

    run: str
    path: str
    parameters: int
    preprocess: list[Plain]


class ModelResult(TypedDict):
    """A shipped model, as ``models`` returns it."""

    name: str
    parameters: int
    preprocess: list[Plain]
    classes: bool
    """Whether it is told the class of an image."""
    dataset: str
    scores: dict[str, ScoreRecord]
    command: str
    """What made it, and makes it again."""
    size: int
    """Bytes on disk."""
    card: str
    """The file of its model card."""


class CompareResult(ComparisonRecord):
    """What ``compare`` returns: ``compare.json``, and where it is."""

    folder: str
    page: str


class PlanResult(TypedDict):
    """What ``compare`` returns where it only plans: commands for any shell, and what follows."""

    commands: list[str]
    then: str


class StoreEntry(TypedDict):
    """A folder of the store, as ``cache`` returns it."""

    kind: str
    key: str
    path: str
    size: int
    created: str
    used: str
    state: Literal["artifact", "workspace", "unfinished"]
