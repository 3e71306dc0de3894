"""What a page says in words: what was run, scores with intervals, how they were measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..format import REACH, anchor_words, byte_size, clock, image_size, measured, metric_name
from ..records import (
    AnchorRecord,
    DirectionRecord,
    GitRecord,
    HistoryRecord,
    MachineRecord,
    Plain,
    RunRecord,
    ScoreRecord,
    TrainingRecord,
)
from .page_data import ImageCounts


@dataclass(frozen=True)
class ScoreWords:
    """A score as text."""

    name: str
    value: str
    interval: str | None
    """The 95 % interval; None where the metric has no standard error."""
    better: str | None
    """Which way is better, where that is known."""
    parts: Mapping[str, str]
    """Further values that the score was made from."""
    protocol: str
    """How it was measured."""
    anchors: str = ""
    """What the same metric gives for real images and for an untrained network."""


def score_words(
    name: str,
    score: ScoreRecord,
    direction: DirectionRecord | None,
    anchors: AnchorRecord | None = None,
) -> ScoreWords:
    """A score with its 95 % interval and, in words, what is better and how it was measured."""
    value, error = score["value"], score.get("standard_error")
    return ScoreWords(
        metric_name(name),
        measured(value, error),
        None if error is None else range_words(*ends(value, error), error),
        direction_words(direction) if direction else None,
        {part: measured(v) for part, v in score.get("parts", {}).items()},
        protocol_words(score["protocol"]),
        anchor_words(anchors or {}),
    )


def ends(value: float, error: float) -> tuple[float, float]:
    """Both ends of the 95 % interval around a value with this standard error."""
    return value - REACH * error, value + REACH * error


def range_words(low: float, high: float, error: float | None = None) -> str:
    """``0.010 to 0.032``, with the decimals of the standard error, or of one that would fit."""
    error = error or (high - low) / (2 * REACH)
    return f"{measured(low, error)} to {measured(high, error)}"


def direction_words(direction: DirectionRecord) -> str:
    """``lower is better, 0 is ideal``"""
    which = "higher" if direction["higher_is_better"] else "lower"
    ideal = direction["ideal"]
    return f"{which} is better" + ("" if ideal is None else f", {ideal:g} is ideal")


def protocol_words(protocol: Plain) -> str:
    """How a score was measured, as one sentence; what the protocol does not tell is left out."""
    parts = _samples_words(protocol)
    if "num_real" in protocol:
        kind = protocol.get("split", "real")
        parts.append(f"compared with {protocol['num_real']:,} {kind} images")
    if "resolution" in protocol:
        parts.append(f"at {image_size(protocol['resolution'])}")
    if "extractor" in protocol:
        parts.append(f"features {protocol['extractor']}")
    if "estimator" in protocol:
        parts.append(f"estimator {protocol['estimator']}")
    biased = " It is biased: compare equal numbers of images only."
    return ", ".join(parts) + "." + (biased if protocol.get("biased") else "")


def _samples_words(protocol: Plain) -> list[str]:
    """How the scored samples were drawn."""
    parts = [_sampler_words(protocol)]
    if "nfe" in protocol:
        parts.append(f"{protocol['nfe']} evaluations of the network each")
    if "labels" in protocol:
        parts.append(f"classes {protocol['labels']}")
    if protocol.get("precision", "float32") != "float32":
        parts.append(f"precision {protocol['precision']}")
    if "guidance_scale" in protocol:
        guided = protocol.get("guidance", "classifier_free")
        spec = {"name": guided} if isinstance(guided, str) else guided
        how = "" if guided == "classifier_free" else f" by {_stage_words(spec)}"
        parts.append(f"guidance {protocol['guidance_scale']:g}{how}")
    if "weights" in protocol and "checkpoint" in protocol:
        length = f" averaged over {protocol['length']:g}" if "length" in protocol else ""
        of = f"the {protocol['checkpoint']} checkpoint{length}"
        parts.append(f"{protocol['weights']} weights of {of}")
    if "seed" in protocol:
        parts.append(f"noise of seed {protocol['seed']}")
    return parts


def _sampler_words(protocol: Plain) -> str:
    words = f"{protocol['num_fake']:,} samples" if "num_fake" in protocol else "Samples"
    if "sampler" in protocol:
        words += f" drawn by {_stage_words(protocol['sampler'])}"
    if "num_steps" in protocol:
        words += f" in {protocol['num_steps']} steps"
    if protocol.get("spacing", "uniform") != "uniform":
        words += f" ({protocol['spacing']} spacing)"
    return words


def what_was_run(record: RunRecord, last: HistoryRecord | None, counts: ImageCounts) -> str:
    """A run in one sentence; ``last`` is its last validation."""
    recipe, sample = record["recipe"], record["recipe"]["sample"]
    length = f" for {last.step:,} steps ({last.epoch:.4g} epochs)" if last else ""
    took = f" in {clock(last.seconds)}" if last else ""
    training = record.get("training")  # whose device may be another than that of the run's end
    stretches = training["stretches"] if training else []
    devices = list(dict.fromkeys(s["device"] for s in stretches)) or [record["device"]]
    return (
        f"A {recipe['backbone']['name']} of {record['parameters']:,} parameters was "
        f"trained{length} on {counts.train:,} images of {recipe['dataset']['name']} at "
        f"{image_size((counts.height, counts.width))} pixels, with the "
        f"{recipe['schedule']['name']} schedule, the {recipe['objective']['name']} objective and "
        f"{recipe['train']['optimizer']['name']},{took} on {' and '.join(devices)}; "
        f"{_stage_words(sample['sampler'])} drew the images above in {sample['num_steps']} steps."
    )


def spaced(name: str) -> str:
    """``noise_loss`` -> ``noise loss``"""
    return name.replace("_", " ")


def machine_words(machine: MachineRecord) -> dict[str, object]:
    """The machine's record with its memory in words."""
    return {**machine, "memory": byte_size(machine["memory"])}


def training_words(training: TrainingRecord) -> dict[str, str]:
    """The device, threads and torch of each stretch of a training, what it began with, and why it
    began anew.
    """
    stretches = [
        f"from step {s['first_step']} on {s['device']}, {s['threads']} threads"
        + (f" in each of {s['processes']} processes" if "processes" in s else "")
        + f", torch {s['torch']}"
        + ", compiled" * s.get("compiled", False)
        for s in training["stretches"]
    ]
    words = {"trained": "; ".join(stretches).replace(" 1 threads", " 1 thread")}
    if init := training.get("init"):
        share = f"{init['started']} of {init['tensors']} tensors"
        words["began with"] = f"averaged weights of {init['name']} ({share}, {init['digest']})"
    return words | ({"from the start": training["apart"]} if "apart" in training else {})


def _stage_words(spec: Mapping[str, object]) -> str:
    """A stage with what is set of it: ``ddim (eta 0.5)``."""
    options = ", ".join(f"{k} {v}" for k, v in spec.items() if k != "name")
    return f"{spec['name']} ({options})" if options else str(spec["name"])


def git_words(git: GitRecord | None) -> dict[str, str]:
    """The commit that a run was made at, and what differed from it."""
    if git is None:
        return {}
    names, more = git["changed"][:3], len(git["changed"]) - 3
    told = ", ".join(names) + (f" and {more} more" if more > 0 else "")
    return {"git": git["commit"][:12] + (f", changed since: {told}" if names else "")}
