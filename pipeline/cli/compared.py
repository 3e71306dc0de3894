"""What ``pipeline compare`` did, in words."""

from __future__ import annotations

from collections.abc import Sequence

from ..format import (
    byte_size,
    metric_name,
    number,
    probability,
    signed,
    table,
    trained_words,
    with_half,
)
from ..records import ErrorRecord, MetricRecord, PairRecord, VariantRecord
from ..runs.results import CompareResult, PlanResult
from .summary import scale_lines


def plan_summary(plan: PlanResult) -> str:
    """The end of ``pipeline compare --plan``: lines that any shell runs."""
    return "\n".join([*plan["commands"], f"# when all have ended: {plan['then']}"])


def comparison_summary(comparison: CompareResult) -> str:
    """The end of ``pipeline compare``: tables of scores and costs, then what they mean."""
    lines = [f"{comparison['name']}: {trained_words(comparison)}"]
    for name, metric in comparison["metrics"].items():
        lines += ["", *_differences(comparison, name, metric)]
    lines += ["", *_costs(comparison["variants"]), ""]
    several = len(comparison["metrics"]) > 1
    for pair in comparison["pairs"]:
        measure = f"{metric_name(pair['metric'])}, " if several else ""
        lines += [f"  {measure}{pair['first']} against {pair['second']}: {pair['verdict']}"]
    lines += [f"  note: {text}" for text in comparison["notes"]] + [""]
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
    head = ("", metric_name(name), f"− {reference}", "95 % interval", "p", "finite samples alone")
    rows = [_difference(v, name, pairs.get(v["name"])) for v in comparison["variants"]]
    return [
        f"  {metric_name(name)}, {better} is better; intervals from {source}{correction}",
        *_indented([head, *rows]),
        *scale_lines(metric.get("anchors", {})),
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
                with_half(cost["seconds_a_step"], cost.get("seconds_a_step_half")),
                with_half(cost["images_per_second"], cost.get("images_per_second_half")),
                str(cost["nfe"]),
                byte_size(cost["peak_memory"]),
            )
        )
    return _indented(rows)


def _indented(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of names and, to the right, numbers."""
    return [f"  {line}" for line in table(rows, "<>")]
