"""How long recipes train until they are as good as the first of them is at its end.

    pip install -e '.[bench]'
    python benchmarks/time_to_quality.py flowers32_ddim flowers32_fast --seeds 3 \\
        --set dataset.root=data --set features=efficientnet_lite0

Each training is scored at evenly spaced points: the same number of images, drawn from the average
of the weights by DDIM in 20 steps, against the validation images. Time is that of training alone,
divided by that of a fixed piece of work which is timed before and after each training, since
machines are shared and noisy; seconds are those of a machine that does it in the median of all.

A recipe has reached the quality when its KID is at most the mean of the first recipe's last KIDs at
one point and at all later ones. Each training's numbers are in a JSON file as soon as it has ended,
and the same command goes on where it was stopped. At the end it prints two tables in Markdown and
draws the curves.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from samplers import COLOURS

from pipeline import commands
from pipeline.compare.seeds import over_seeds
from pipeline.progress import note

METRICS = "[kid, fid, precision_recall]"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="+", help="the first one is the mark")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--points", type=int, default=12, help="scores of each training")
    parser.add_argument("--num-images", type=int, default=1638)
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--plugin", action="append", default=[], type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("time_to_quality"))
    given = parser.parse_args(words)
    given.out.mkdir(parents=True, exist_ok=True)
    trials = [trial(recipe, seed, given) for seed in range(given.seeds) for recipe in given.recipes]
    print(report(given.recipes, trials))
    plot(given.recipes, trials, given.out / "curves.png")


def trial(recipe: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """Train and score, or read what was found before."""
    file = given.out / f"{Path(recipe).stem}-seed{seed}.json"
    if file.exists():
        return json.loads(file.read_text())
    note(f"{recipe}, seed {seed}")
    train = commands.check_recipe(recipe, given.changes, plugins=given.plugin).recipe.train
    every = max(1, (train.max_steps or 0) // given.points)
    changes = [
        *given.changes,
        f"seed={seed}",
        f"train.validate.every={every} steps",
        f"train.validate.metrics={METRICS}",
        f"train.validate.num_images={given.num_images}",
        "train.validate.sampler=ddim",
        "train.validate.num_steps=20",
    ]
    before = calibration()
    name = f"{Path(recipe).stem}-seed{seed}"
    found = commands.run(recipe, changes, name=name, plugins=given.plugin, device=given.device)
    work = [before, calibration()]
    points = [
        {
            "step": record.step,
            "seconds": record.seconds,
            "kid": record.scores["kid"]["value"],
            "standard_error": record.scores["kid"]["standard_error"],
            "fid": record.scores["fid"]["value"],
            **record.scores["precision_recall"].get("parts", {}),
        }
        for record in commands.open_run(found["folder"]).validations
    ]
    made = {
        "recipe": Path(recipe).stem,
        "seed": seed,
        "changes": given.changes,
        "machine": found["machine"],
        "work": work,
        "points": points,
    }
    file.write_text(json.dumps(made, indent=1))
    return made


def calibration() -> float:
    """Seconds of a fixed piece of work: convolutions as in a small U-Net, forward and backward."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(32, 64, 32, 32, generator=draw).to(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(64, 64, 3, padding=1).to(memory_format=torch.channels_last)
    times = []
    for _ in range(12):
        started = time.perf_counter()
        layer(x).square().mean().backward()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def normalised(trials: Sequence[dict[str, Any]]) -> dict[tuple[str, int], list[float]]:
    """Seconds of each point, as on a machine of the median speed."""
    work = {(t["recipe"], t["seed"]): statistics.fmean(t["work"]) for t in trials}
    usual = statistics.median(work.values())
    return {
        (t["recipe"], t["seed"]): [
            p["seconds"] * usual / work[t["recipe"], t["seed"]] for p in t["points"]
        ]
        for t in trials
    }


def reached(seconds: Sequence[float], kids: Sequence[float], target: float) -> float | None:
    """When it is there for good, between points in proportion to the fall of log KID."""
    below = [kid <= target for kid in kids]
    first = next((i for i in range(len(kids)) if all(below[i:])), None)
    if not first:
        return None if first is None else seconds[0]
    high, low = (math.log(max(kids[i], 1e-6)) for i in (first - 1, first))
    share = 1.0 if high <= low else (high - math.log(max(target, 1e-6))) / (high - low)
    return seconds[first - 1] + min(1.0, max(0.0, share)) * (seconds[first] - seconds[first - 1])


def report(recipes: Sequence[str], trials: Sequence[dict[str, Any]]) -> str:
    """Who is there when, and the curves as a table."""
    names = [Path(recipe).stem for recipe in recipes]
    of = {name: [t for t in trials if t["recipe"] == name] for name in names}
    seconds = normalised(trials)
    target = statistics.fmean(t["points"][-1]["kid"] for t in of[names[0]])
    whole = statistics.fmean(seconds[names[0], t["seed"]][-1] for t in of[names[0]])
    lines = [
        f"KID {target:.3f} is what {names[0]} has at its end, after {whole:.0f} s.\n",
        "| recipe | s to that KID, by seed | share of the first one's time (95 %) | s in all "
        "| last KID, by seed | FID | precision | recall |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in names:
        kids = {t["seed"]: [p["kid"] for p in t["points"]] for t in of[name]}
        times = [reached(seconds[name, seed], kids[seed], target) for seed in kids]
        told = ", ".join("never" if t is None else f"{t:.0f}" for t in times)
        last = [t["points"][-1] for t in of[name]]
        parts = [statistics.fmean(p[key] for p in last) for key in ("fid", "precision", "recall")]
        ends = statistics.fmean(seconds[name, t["seed"]][-1] for t in of[name])
        lines.append(
            f"| `{name}` | {told} | {share(times, whole)} | {ends:.0f} | "
            f"{', '.join(format(p['kid'], '.2f') for p in last)} | "
            f"{parts[0]:.0f} | {parts[1]:.2f} | {parts[2]:.2f} |"
        )
    lines += ["", "| recipe, seed | KID after so many seconds |", "| --- | --- |"]
    lines += [
        f"| `{t['recipe']}`, {t['seed']} | "
        + ", ".join(
            f"{p['kid']:.2f} ({s:.0f} s)"
            for p, s in zip(t["points"], seconds[t["recipe"], t["seed"]], strict=True)
        )
        + " |"
        for t in trials
    ]
    return "\n".join(lines)


def share(times: Sequence[float | None], whole: float) -> str:
    """The geometric mean over seeds of the times, as a share of ``whole``."""
    there = [math.log(t / whole) for t in times if t]
    if len(there) < len(times):
        return f"{len(there)} of {len(times)} got there"
    if len(there) == 1:
        return f"{math.exp(there[0]):.2f} (one seed)"
    seeds = over_seeds(there)
    low, high = seeds.interval() or (seeds.mean, seeds.mean)
    return f"{math.exp(seeds.mean):.2f} ({math.exp(low):.2f} to {math.exp(high):.2f})"


def plot(recipes: Sequence[str], trials: Sequence[dict[str, Any]], path: Path) -> None:
    """KID against seconds of training, both logarithmic; a line for each seed."""
    from matplotlib.figure import Figure

    names, seconds = [Path(recipe).stem for recipe in recipes], normalised(trials)
    figure = Figure(figsize=(6.4, 4.2), dpi=130, layout="constrained")
    panel = figure.subplots()
    for t in trials:
        panel.plot(
            seconds[t["recipe"], t["seed"]],
            [p["kid"] for p in t["points"]],
            color=COLOURS[names.index(t["recipe"]) % len(COLOURS)],
            marker="o",
            markersize=3,
            linewidth=1.2,
            label=t["recipe"] if t["seed"] == 0 else None,
        )
    panel.set(xscale="log", yscale="log", xlabel="seconds of training", ylabel="KID")
    panel.grid(which="both", alpha=0.25)
    panel.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
