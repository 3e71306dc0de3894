"""What a command did, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..format import clock, number, signed, table


def run(found: Mapping[str, Any]) -> str:
    """The end of ``pipeline run``: what was reused or built and why, scores, where things are."""
    made = found["artifacts"]
    width = max(map(len, made))
    lines = [f"{found['name']}: done in {clock(found['seconds'])} on {found['device']}", ""]
    for name, one in made.items():
        size = megabytes(found["sizes"][name])
        state = "reused" if one["reused"] else f"built, because {one['why']}"
        lines.append(f"  {name:{width}}  {size:>8}  {state}")
    lines += ["", selection(found["selection"]), ""]
    lines += [scores(found["scores"]), ""] if found["scores"] else []
    lines += [diagnosis(found["diagnosis"]), ""]
    folder = found["folder"]
    lines += [
        f"  report    {folder}/report.html",
        f"  samples   {folder}/samples.png",
        f"  progress  {folder}/grids/, {folder}/history.jsonl",
        *([f"  scores    {folder}/scores.json"] if found["scores"] else []),
        f"  recipe    {folder}/recipe.yaml",
        f"  store     {found['store']}",
        "",
        f"More images: pipeline sample {folder} --num-images 80 --grid 10x8 --seed 1",
    ]
    return "\n".join(lines)


def selection(found: Mapping[str, Any]) -> str:
    """How the best checkpoint was chosen, and what it has on samples that did not choose it."""
    chosen, fresh = found["chosen_by"], found["fresh"]
    about = chosen.get("protocol")
    on = f" of {about['num_fake']} samples in {about['num_steps']} steps" if about else ""
    line = (
        f"  best checkpoint: step {found['step']}, chosen by {chosen['name']} {_value(chosen)}{on}"
    )
    if not fresh:
        return line
    scored = ", ".join(f"{name} {_value(score)}" for name, score in fresh.items())
    return f"{line}\n    on fresh samples: {scored}"


def diagnosis(found: Sequence[Mapping[str, str]]) -> str:
    """What is wrong, and what to do."""
    if not found:
        return "  diagnosis: nothing unusual was found"
    return "\n".join(f"  {one['name']}: {one['what']}\n    {one['do']}" for one in found)


def _value(score: Mapping[str, Any]) -> str:
    error = f" ± {score['standard_error']:.4f}" if "standard_error" in score else ""
    return f"{score['value']:.4f}{error}"


def dry(found: Mapping[str, Any]) -> str:
    """The end of ``pipeline run --dry-run``."""
    probe = found["probe"]
    channels, height, width = probe["shape"]
    return (
        f"{found['name']}: nothing is wrong\n"
        f"  images      {probe['num_images']}, {probe['num_train']} of them for training, "
        f"{width}×{height} with {channels} channels\n"
        f"  network     {probe['num_parameters']:,} parameters\n"
        f"  training    {probe['steps']} steps, {probe['steps_per_epoch']} in an epoch"
    )


def sampled(found: Mapping[str, Any]) -> str:
    """The end of ``pipeline sample``."""
    state = "reused" if found["reused"] else "drawn"
    return (
        f"{found['images']} images of {found['run']} {state} with {found['sampler']['name']}, "
        f"{found['nfe']} network evaluations each, seed {found['seed']}{_conditioning(found)}\n"
        f"  grid    {found['grid']}\n"
        f"  images  {found['folder']}/images/"
    )


def scores(found: Mapping[str, Any]) -> str:
    """Each score with its standard error and, in words, what it was measured on."""
    return "\n".join(_score(name, score) for name, score in found.items())


def _score(name: str, score: Mapping[str, Any]) -> str:
    about = score["protocol"]
    error = (
        f" ± {score['standard_error']:.4f} (standard error)" if "standard_error" in score else ""
    )
    parts = ", ".join(f"{part} {value:.4f}" for part, value in score.get("parts", {}).items())
    drawn = ""
    if "sampler" in about:
        drawn = f" by {about['sampler']['name']} in {about['num_steps']} steps"
        drawn += f" ({about['spacing']})" * (about["spacing"] != "uniform")
        drawn += _conditioning(about)
    against = ""
    if "num_real" in about:
        against = f" against {about['num_real']} images ({about['split']})"
    estimator = f"estimator {about['estimator']}, " if "estimator" in about else ""
    biased = "\n    biased: compare equal numbers of images only" * bool(about.get("biased"))
    return (
        f"  {name} {score['value']:.4f}{error}{parts and f' ({parts})'}\n"
        f"    {about['num_fake']} samples{drawn}{against}, "
        f"{'×'.join(map(str, about['resolution']))}\n"
        f"    {estimator}features {about['extractor']}{biased}"
    )


def _conditioning(about: Mapping[str, Any]) -> str:
    """How classes were chosen, where there are any."""
    if "labels" not in about:
        return ""
    return f", labels {about['labels']}, guidance {about['guidance_scale']:g}"


def plan(found: Mapping[str, Any]) -> str:
    """The end of ``pipeline compare --plan``: lines that any shell runs."""
    return "\n".join([*found["commands"], f"# when all have ended: {found['then']}"])


def comparison(found: Mapping[str, Any]) -> str:
    """The end of ``pipeline compare``: verdicts, differences to the first, costs."""
    lines = [f"{found['name']}: compared in {clock(found['seconds'])}", ""]
    for pair in found["pairs"]:
        metric = f"{pair['metric']}, " if len(found["metrics"]) > 1 else ""
        lines += [f"  {metric}{pair['first']} against {pair['second']}: {pair['verdict']}"]
    reference = found["variants"][0]["name"]
    for metric, about in found["metrics"].items():
        lines += ["", *_differences(found, metric, about, reference)]
    lines += ["", *_costs(found["variants"]), ""]
    lines += [f"  note: {text}" for text in found["notes"]]
    lines += [f"  page  {found['page']}", f"  data  {found['folder']}/compare.json"]
    return "\n".join(lines)


def _differences(
    found: Mapping[str, Any], metric: str, about: Mapping[str, Any], reference: str
) -> list[str]:
    seeds = found["seeds"]
    source = f"training seeds {', '.join(map(str, seeds))}" if seeds[1:] else "finite samples"
    correction = f"; p by {about['correction']}" if about["correction"] else ""
    better = "higher" if about["higher_is_better"] else "lower"
    rows = [("", metric, f"− {reference}", "95 % interval", "p", "finite samples alone")]
    for variant in found["variants"]:
        values = [score["value"] for score in variant["scores"][metric]]
        row = (variant["name"], number(sum(values) / len(values)))
        pair = next(
            (p for p in found["pairs"] if _is_of(p, metric, reference, variant["name"])), None
        )
        rows.append((*row, *_interval(pair)) if pair else (*row, "", "", "", ""))
    return [
        f"  {metric}, {better} is better; intervals from {source}{correction}",
        *_indented(rows),
    ]


def _is_of(pair: Mapping[str, Any], metric: str, first: str, second: str) -> bool:
    return (pair["metric"], pair["first"], pair["second"]) == (metric, first, second)


def _interval(pair: Mapping[str, Any]) -> tuple[str, str, str, str]:
    samples = pair["finite_samples"]
    source = pair["training_seeds"] if pair["by_seed"][1:] else samples
    p = source and (source["p"] if pair["p_corrected"] is None else pair["p_corrected"])
    return (
        signed(pair["difference"]),
        _ends(source),
        _p(p),
        _ends(samples),
    )


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _ends(source: Mapping[str, Any] | None) -> str:
    if source is None:
        return "-"
    low, high = source["interval"]
    return f"{signed(low)} to {signed(high)}"


def _costs(variants: Sequence[Mapping[str, Any]]) -> list[str]:
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
                megabytes(cost["peak_memory"]),
            )
        )
    return _indented(rows)


def _indented(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of names and, to the right, numbers."""
    return [f"  {line}" for line in table(rows, "<>")]


def records(found: Sequence[Mapping[str, Any]]) -> str:
    """The store as a table."""
    rows = [
        f"  {one['kind']:10} {one['key'][:12] or one['state']:12} {megabytes(one['size']):>10}  "
        f"{one['created'][:19]}"
        for one in found
    ]
    total = megabytes(sum(one["size"] for one in found))
    return "\n".join([*rows, f"  {len(found)} in all, {total}"])


def megabytes(size: int) -> str:
    """1234567 -> 1.2 MB"""
    return f"{size / 1e6:.1f} MB"
