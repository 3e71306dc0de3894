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
    num_parameters: int
    steps_per_epoch: int
    steps: int


class DryRunResult(TypedDict):
    """What ``run`` returns where it stops after the checks."""

    name: str
    recipe: Plain
    probe: ProbeRecord


class SampleResult(TypedDict):
    """What ``sample`` returns."""

    run: str
    images: int
    grid: str
    folder: str
    reused: bool
    nfe: int
    sampler: Plain
    spacing: str | Plain
    labels: NotRequired[str]
    guidance_scale: NotRequired[float]
    seed: int


class EvaluateResult(TypedDict):
    """What ``evaluate`` returns."""

    what: str
    against: str
    scores: dict[str, ScoreRecord]
    diagnosis: list[FindingRecord]


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
