"""What a command did, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..format import byte_size, clock, number, probability, signed, table
from ..records import (
    ChosenRecord,
    ErrorRecord,
    FindingRecord,
    FreshScore,
    MetricRecord,
    PairRecord,
    Plain,
    ScoreRecord,
    SelectionRecord,
    VariantRecord,
)
from ..runs.results import (
    CompareResult,
    DryRunResult,
    EvaluateResult,
    PlanResult,
    RunResult,
    SampleResult,
    StoreEntry,
)


def run_summary(run: RunResult) -> str:
    """The end of ``pipeline run``: what was reused or built and why, scores, where things are."""
    scores = [scores_summary(run["scores"]), ""] if run["scores"] else []
    folder = run["folder"]
    return "\n".join(
        [
            f"{run['name']}: done in {clock(run['seconds'])} on {run['device']}",
            "",
            *_artifacts(run),
            *_left_out(run.get("left_out", [])),
            "",
            selection_summary(run["selection"]),
            "",
            *scores,
            diagnosis_summary(run["diagnosis"]),
            "",
            *_places(run),
            "",
            f"More images: pipeline sample {folder} --num-images 80 --grid 10x8 --seed 1",
        ]
    )


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
        f"  best checkpoint: step {selection['step']}, chosen by {chosen['name']} "
        f"{_value(chosen)}{_chosen_on(chosen)}"
    )
    if not fresh:
        return line
    scores = ", ".join(f"{name} {_value(score)}" for name, score in fresh.items())
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


def dry_run_summary(run: DryRunResult) -> str:
    """The end of ``pipeline run --dry-run``."""
    probe = run["probe"]
    channels, height, width = probe["shape"]
    return (
        f"{run['name']}: nothing is wrong\n"
        f"  images      {probe['num_images']}, {probe['num_train']} of them for training, "
        f"{width}×{height} with {channels} channels\n"
        f"  network     {probe['num_parameters']:,} parameters\n"
        f"  training    {probe['steps']} steps, {probe['steps_per_epoch']} in an epoch"
    )


def sample_summary(sample: SampleResult) -> str:
    """The end of ``pipeline sample``."""
    state = "reused" if sample["reused"] else "drawn"
    classes = ""
    if "labels" in sample:
        classes = _classes(sample["labels"], sample["guidance_scale"])
    return (
        f"{sample['images']} images of {sample['run']} {state} with {sample['sampler']['name']}, "
        f"{sample['nfe']} network evaluations each, seed {sample['seed']}{classes}\n"
        f"  grid    {sample['grid']}\n"
        f"  images  {sample['folder']}/images/"
    )


def evaluate_summary(scored: EvaluateResult) -> str:
    """The end of ``pipeline evaluate``."""
    findings = [diagnosis_summary(scored["diagnosis"])] if scored["diagnosis"] else []
    return "\n".join([scores_summary(scored["scores"]), *findings])


def scores_summary(scores: Mapping[str, ScoreRecord]) -> str:
    """Each score with its standard error and, in words, what it was measured on."""
    return "\n".join(_score(name, score) for name, score in scores.items())


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
        f"  {name} {_value(score)}{error}{parts and f' ({parts})'}\n"
        f"    {protocol['num_fake']} samples{_drawn(protocol)}{against}, "
        f"{'×'.join(map(str, protocol['resolution']))}\n"
        f"    {estimator}features {protocol['extractor']}{biased}"
    )


def _drawn(protocol: Plain) -> str:
    """How samples were drawn, where they were."""
    if "sampler" not in protocol:
        return ""
    spacing = f" ({protocol['spacing']})" if protocol["spacing"] != "uniform" else ""
    classes = ""
    if "labels" in protocol:
        classes = _classes(protocol["labels"], protocol["guidance_scale"])
    return f" by {protocol['sampler']['name']} in {protocol['num_steps']} steps{spacing}{classes}"


def _classes(labels: str, guidance_scale: float) -> str:
    return f", labels {labels}, guidance {guidance_scale:g}"


def plan_summary(plan: PlanResult) -> str:
    """The end of ``pipeline compare --plan``: lines that any shell runs."""
    return "\n".join([*plan["commands"], f"# when all have ended: {plan['then']}"])


def comparison_summary(comparison: CompareResult) -> str:
    """The end of ``pipeline compare``: verdicts, differences to the first, costs."""
    lines = [f"{comparison['name']}: compared in {clock(comparison['seconds'])}", ""]
    several = len(comparison["metrics"]) > 1
    for pair in comparison["pairs"]:
        measure = f"{pair['metric']}, " if several else ""
        lines += [f"  {measure}{pair['first']} against {pair['second']}: {pair['verdict']}"]
    for name, metric in comparison["metrics"].items():
        lines += ["", *_differences(comparison, name, metric)]
    lines += ["", *_costs(comparison["variants"]), ""]
    lines += [f"  note: {text}" for text in comparison["notes"]]
    page, folder = comparison["page"], comparison["folder"]
    return "\n".join([*lines, f"  page  {page}", f"  data  {folder}/compare.json"])


def _differences(comparison: CompareResult, name: str, metric: MetricRecord) -> list[str]:
    """What the variants score by one metric, and how they differ from the first."""
    seeds, reference = comparison["seeds"], comparison["variants"][0]["name"]
    source = f"training seeds {', '.join(map(str, seeds))}" if seeds[1:] else "finite samples"
    correction = f"; p by {metric['correction']}" if metric["correction"] else ""
    better = "higher" if metric["higher_is_better"] else "lower"
    pairs = {
        pair["second"]: pair
        for pair in comparison["pairs"]
        if (pair["metric"], pair["first"]) == (name, reference)
    }
    head = ("", name, f"− {reference}", "95 % interval", "p", "finite samples alone")
    rows = [_difference(v, name, pairs.get(v["name"])) for v in comparison["variants"]]
    return [
        f"  {name}, {better} is better; intervals from {source}{correction}",
        *_indented([head, *rows]),
    ]


def _difference(variant: VariantRecord, metric: str, pair: PairRecord | None) -> tuple[str, ...]:
    """A line of the table; ``pair`` is the first variant with this one."""
    values = [score["value"] for score in variant["scores"][metric]]
    cells = (variant["name"], number(sum(values) / len(values)))
    if pair is None:
        return (*cells, "", "", "", "")
    samples = pair["finite_samples"]
    source = pair["training_seeds"] if pair["by_seed"][1:] else samples
    p = pair["p_corrected"]
    return (
        *cells,
        signed(pair["difference"]),
        _interval(source),
        "-" if source is None else probability(source["p"] if p is None else p),
        _interval(samples),
    )


def _interval(error: ErrorRecord | None) -> str:
    if error is None:
        return "-"
    low, high = error["interval"]
    return f"{signed(low)} to {signed(high)}"


def _costs(variants: Sequence[VariantRecord]) -> list[str]:
    rows = [("cost", "parameters", "steps", "seconds a step", "images/s", "NFE", "peak memory")]
    for variant in variants:
        cost = variant["cost"]
        rows.append(
            (
                variant["name"],
                f"{cost['parameters']:,}",
                f"{cost['steps']:,}",
                f"{cost['seconds_a_step']:.3f}",
                f"{cost['images_per_second']:.1f}",
                str(cost["nfe"]),
                byte_size(cost["peak_memory"]),
            )
        )
    return _indented(rows)


def _indented(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of names and, to the right, numbers."""
    return [f"  {line}" for line in table(rows, "<>")]


def store_summary(entries: Sequence[StoreEntry]) -> str:
    """The store as a table."""
    rows = [
        f"  {entry['kind']:10} {entry['key'][:12] or entry['state']:12} "
        f"{byte_size(entry['size']):>10}  {entry['created'][:19]}"
        for entry in entries
    ]
    total = byte_size(sum(entry["size"] for entry in entries))
    return "\n".join([*rows, f"  {len(entries)} in all, {total}"])
