"""What a command did, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .progress import clock


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
