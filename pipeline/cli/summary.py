"""What a command did, in words."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..format import (
    anchor_words,
    byte_size,
    clock,
    image_size,
    metric_name,
)
from ..records import (
    AnchorRecord,
    ChosenRecord,
    FindingRecord,
    FreshScore,
    Plain,
    ScoreRecord,
    SelectionRecord,
)
from ..runs.command import shell_options
from ..runs.results import (
    EvaluateResult,
    RunResult,
    SampleResult,
    StoreEntry,
)


def run_summary(run: RunResult) -> str:
    """The end of ``pipeline run``: what was reused or built and why, scores, where things are."""
    anchors = run.get("anchors", {})
    scores = [scores_summary(run["scores"], anchors), ""] if run["scores"] else []
    return "\n".join(
        [
            f"{run['name']}: done in {clock(run['seconds'])} on {run['device']}",
            "",
            *_artifacts(run),
            *_left_out(run.get("left_out", [])),
            *_chosen(run.get("chosen", {})),
            "",
            selection_summary(run["selection"]),
            "",
            *scores,
            diagnosis_summary(run["diagnosis"]),
            "",
            *_places(run),
            "",
            f"More images: {_more_images(run)}",
        ]
    )


def _more_images(run: RunResult) -> str:
    """The command that draws more images, for a shell in this folder."""
    asked = ["--num-images", "80", "--grid", "10x8", "--seed", "1"]
    given = shell_options(plugin=run["plugins"])
    return shlex.join(["pipeline", "sample", run["folder"], *asked, *given])


def _artifacts(run: RunResult) -> list[str]:
    width = max(map(len, run["artifacts"]))
    lines = []
    for name, artifact in run["artifacts"].items():
        state = "reused" if artifact["reused"] else f"built, because {artifact['why']}"
        lines.append(f"  {name:{width}}  {byte_size(run['sizes'][name]):>9}  {state}")
    return lines


def _left_out(reasons: Sequence[str]) -> list[str]:
    if not reasons:
        return []
    more = f"; and {len(reasons) - 3} more, in run.json" if len(reasons) > 3 else ""
    return ["", f"  images left out: {len(reasons)} ({'; '.join(reasons[:3])}{more})"]


def _chosen(settings: Mapping[str, str]) -> list[str]:
    if not settings:
        return []
    lines = [f"    {setting}  ({why})" for setting, why in settings.items()]
    return ["", "  chosen for these photos, and kept by this run:", *lines]


def _places(run: RunResult) -> list[str]:
    """Where a run's results are."""
    folder = run["folder"]
    return [
        f"  report    {folder}/report.html",
        f"  samples   {folder}/samples.png",
        f"  progress  {folder}/grids/, {folder}/history.jsonl",
        *([f"  scores    {folder}/scores.json"] if run["scores"] else []),
        f"  recipe    {folder}/recipe.yaml",
        f"  store     {run['store']}",
    ]


def selection_summary(selection: SelectionRecord) -> str:
    """How the best checkpoint was chosen, and what it has on samples that did not choose it."""
    chosen, fresh = selection["chosen_by"], selection["fresh"]
    line = (
        f"  best checkpoint: step {selection['step']}, chosen by {metric_name(chosen['name'])} "
        f"{_value(chosen)}{_chosen_on(chosen)}"
    )
    if not fresh:
        return line
    scores = ", ".join(f"{metric_name(name)} {_value(score)}" for name, score in fresh.items())
    return f"{line}\n    on fresh samples: {scores}"


def _chosen_on(chosen: ChosenRecord) -> str:
    protocol = chosen.get("protocol")
    if not protocol:
        return ""
    return f" of {protocol['num_fake']} samples in {protocol['num_steps']} steps"


def diagnosis_summary(findings: Sequence[FindingRecord]) -> str:
    """What is wrong, and what to do."""
    if not findings:
        return "  diagnosis: nothing unusual was found"
    return "\n".join(f"  {f['name']}: {f['what']}\n    {f['do']}" for f in findings)


def _value(score: FreshScore | ScoreRecord) -> str:
    error = f" ± {score['standard_error']:.4f}" if "standard_error" in score else ""
    return f"{score['value']:.4f}{error}"


def sample_summary(sample: SampleResult) -> str:
    """The end of ``pipeline sample``."""
    state = "reused" if sample["reused"] else "drawn"
    run, sampler = sample["run"], sample["sampler"]["name"]
    if "unfinished" in sample:
        run += f" ({sample['unfinished']}, not finished)"
    classes = _classes(sample)
    return "\n".join(
        [
            f"{sample['images']} images of {run} {state} with {sampler}"
            f"{_beginning(sample)}{_precision(sample['precision'])}{_average(sample)}, "
            f"{sample['nfe']} network evaluations each, seed {sample['seed']}{classes}",
            *_names(sample.get("classes", {})),
            f"  grid    {sample['grid']}",
            f"  images  {sample['folder']}/images/",
        ]
    )


def _average(sample: SampleResult) -> str:
    return f" from weights averaged over {sample['ema']:g}" if "ema" in sample else ""


def _beginning(sample: SampleResult) -> str:
    """What drawing began from, where that was not noise alone."""
    if "image" not in sample:
        return ""
    given = sample["image"]
    what = given[0] if len(given) == 1 else f"{len(given)} images"
    within = " within the mask" if "mask" in sample else ""
    return f" from {what}{within} at strength {sample['strength']:g}"


def _names(classes: Mapping[str, str]) -> list[str]:
    """The classes that were drawn, number and name."""
    text = ", ".join(f"{number}: {name}" for number, name in classes.items())
    return [f"  classes {text}"] if text else []


def evaluate_summary(scored: EvaluateResult) -> str:
    """The end of ``pipeline evaluate``."""
    findings = [diagnosis_summary(scored["diagnosis"])] if scored["diagnosis"] else []
    return "\n".join([scores_summary(scored["scores"]), *findings])


def scores_summary(
    scores: Mapping[str, ScoreRecord], anchors: Mapping[str, AnchorRecord] | None = None
) -> str:
    """Each score with its standard error, between what it lies, and what it was measured on."""
    lines = []
    for name, score in scores.items():
        lines += [_score(name, score), *scale_lines((anchors or {}).get(name, {}))]
    return "\n".join(lines)


def scale_lines(anchors: AnchorRecord) -> list[str]:
    """Between what the scores of a metric lie."""
    return [f"    on the same scale: {anchor_words(anchors)}"] if anchors else []


def _score(name: str, score: ScoreRecord) -> str:
    protocol = score["protocol"]
    error = " (standard error)" if "standard_error" in score else ""
    parts = ", ".join(f"{part} {value:.4f}" for part, value in score.get("parts", {}).items())
    against = ""
    if "num_real" in protocol:
        against = f" against {protocol['num_real']} images ({protocol['split']})"
    estimator = f"estimator {protocol['estimator']}, " if "estimator" in protocol else ""
    biased = "\n    biased: compare equal numbers of images only" if protocol.get("biased") else ""
    return (
        f"  {metric_name(name)} {_value(score)}{error}{parts and f' ({parts})'}\n"
        f"    {protocol['num_fake']} samples{_drawn(protocol)}{against}, "
        f"{image_size(protocol['resolution'])}\n"
        f"    {estimator}features {protocol['extractor']}{biased}"
    )


def _drawn(protocol: Plain) -> str:
    """How samples were drawn, where they were."""
    if "sampler" not in protocol:
        return ""
    spacing = f" ({protocol['spacing']})" if protocol["spacing"] != "uniform" else ""
    classes = _classes(protocol)
    precision = _precision(protocol.get("precision", "float32"))
    steps = f"{protocol['num_steps']} steps"
    return f" by {protocol['sampler']['name']} in {steps}{spacing}{precision}{classes}"


def _precision(precision: str) -> str:
    return "" if precision == "float32" else f" in {precision}"


def _classes(drawn: Mapping[str, Any]) -> str:
    """The labels and the guidance of images, where there are any."""
    labels = f", labels {drawn['labels']}" if "labels" in drawn else ""
    if "guidance_scale" not in drawn:
        return labels
    guided = drawn.get("guidance", "classifier_free")
    name = guided["name"] if isinstance(guided, Mapping) else guided
    how = "" if name == "classifier_free" else f" by {name}"
    return f"{labels}, guidance {drawn['guidance_scale']:g}{how}"


def store_summary(entries: Sequence[StoreEntry]) -> str:
    """The store as a table."""
    rows = [
        f"  {entry['kind']:10} {entry['key'][:12] or entry['state']:12} "
        f"{byte_size(entry['size']):>10}  {entry['created'][:19]}"
        for entry in entries
    ]
    total = byte_size(sum(entry["size"] for entry in entries))
    return "\n".join([*rows, f"  {len(entries)} in all, {total}"])
