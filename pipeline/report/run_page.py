"""The page of a run, section by section. A section that has nothing to show is None."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ..diffusion.images import evenly
from ..format import clock
from . import wording
from .encode import pictures, png
from .finished import Finished
from .intervals import histograms
from .page import render
from .training_curves import charts, losses, scores_in

SAMPLES, GRIDS, CALLS, COPIES = 80, 24, 9, 8
"""The most that a page shows of each."""

BUDGETS = {"samples": 1_600_000, "growth": 1_600_000, "way": 300_000, "nearest": 500_000}
"""Bytes of pictures in the page: together 4 of its 5 MB."""


def run_page(run: Finished) -> str:
    """One HTML file."""
    about, history = run.about, run.history
    directions = about.get("metrics", {})
    return render(
        "run.html",
        title=about["name"],
        samples=_samples(run),
        what=wording.what_was_run(about, history[-1] if history else None, run.data),
        scores=[wording.score(n, one, directions.get(n)) for n, one in about["scores"].items()],
        selection=_selection(about.get("selection")),
        growth=_growth(run),
        way=_way(run),
        charts=charts(history, directions, about["recipe"]["train"]["batch_size"]),
        speed=_speed(history),
        table=_table(history),
        nearest=_nearest(run),
        diagnosis=about.get("diagnosis"),
        recipe=_recipe(run),
        artifacts=[{**one, "size": wording.amount(one["size"])} for one in run.artifacts()],
        machine=wording.machine(about.get("machine", {"device": about["device"]})),
        versions=about["versions"],
        command=about["command"],
        again=_again(run),
        finished=about["finished"],
    )


def _samples(run: Finished) -> dict[str, Any]:
    images = run.samples(SAMPLES)
    made = pictures([png(image) for image in images], BUDGETS["samples"])
    captions = run.about.get("captions") or [""] * len(images)
    shown = [
        {"uri": uri, "caption": text, "alt": f"Sample {i}: {text}" if text else f"Sample {i}"}
        for i, (uri, text) in enumerate(zip(made.uris, captions, strict=False), start=1)
    ]
    total = run.about["recipe"]["sample"]["num_images"]
    return {"images": shown, "exact": made.exact, "total": total}


def _selection(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The score that chose the checkpoint, beside which the fresh one stands."""
    if not found:
        return None
    chosen = found["chosen_by"]
    drawn = "protocol" in chosen
    told = wording.score(wording.words(chosen["name"]), {"protocol": {}, **chosen}, None)
    return {**told, **found, "drawn": drawn}


def _growth(run: Finished) -> dict[str, Any] | None:
    if not run.grids:
        return None
    records = {record["step"]: record for record in run.history}
    chosen = [run.grids[i] for i in evenly(len(run.grids), GRIDS)]
    made = pictures([file.read_bytes() for _, file in chosen], BUDGETS["growth"])
    frames = [
        {"uri": uri, "step": step, "said": _said(records.get(step, {}))}
        for uri, (step, _) in zip(made.uris, chosen, strict=True)
    ]
    return {"frames": frames, "exact": made.exact, "total": len(run.grids)}


def _said(record: Mapping[str, Any]) -> str:
    """The losses on validation images and the scores of one validation."""
    parts = [
        f"{wording.words(name)} {record[f'validation_{name}']:.4f}"
        for name in losses([record])
        if f"validation_{name}" in record
    ]
    parts += [
        f"{name} {wording.number(record[name], record.get(f'{name}_standard_error'))}"
        for name in scores_in([record])
    ]
    return " · ".join(parts)


def _way(run: Finished) -> dict[str, Any] | None:
    found = run.trace()
    if found is None:
        return None
    calls = evenly(len(found["x"]), CALLS).tolist()
    pngs = [png(found[name][i]) for i in calls for name in ("x", "x0")]
    made = pictures([*pngs, png(found["image"])], BUDGETS["way"]).uris
    frames = []
    for k, i in enumerate(calls):
        signal, noise = found["rates"][i]
        share = noise**2 / (signal**2 + noise**2)
        frames.append({"call": i + 1, "noise": share, "x": made[2 * k], "x0": made[2 * k + 1]})
    return {"frames": frames, "image": made[-1], "calls": len(found["x"])}


def _speed(history: list[dict[str, Any]]) -> str | None:
    """How long training took, and how much of it was waiting for data."""
    if not history or not history[-1]["seconds"]:
        return None
    last = history[-1]
    waited = ""
    if "data_seconds" in last:
        waited = f", {100 * last['data_seconds'] / last['seconds']:.1f} % of it waiting for data"
    return (
        f"Training took {clock(last['seconds'])} without validations{waited}: "
        f"{last['images_per_second']:,.0f} images a second on average."
    )


def _table(history: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The records as rows of text, without protocols."""
    names = list(dict.fromkeys(n for record in history for n in record if n != "protocol"))
    rows = [
        [f"{record[n]:,.5g}" if n in record else "" for n in names]
        for record in (history[i] for i in evenly(len(history), 200))
    ]
    return {"names": [wording.words(n) for n in names], "rows": rows} if rows else None


def _nearest(run: Finished) -> dict[str, Any] | None:
    found = run.neighbours()
    if not found or not found["items"]:
        return None
    items = found["items"][:COPIES]
    samples = run.samples(max(item["sample"] for item in items) + 1)
    real = run.real_images([i for item in items for i in item["indices"]])
    pngs = [png(samples[item["sample"]]) for item in items] + [png(image) for image in real]
    made = pictures(pngs, BUDGETS["nearest"]).uris
    own, others = made[: len(items)], iter(made[len(items) :])
    rows = [
        {
            "sample": item["sample"] + 1,
            "uri": uri,
            "near": [
                {"uri": next(others), "index": i, "distance": wording.number(d)}
                for i, d in zip(item["indices"], item["distances"], strict=True)
            ],
        }
        for item, uri in zip(items, own, strict=True)
    ]
    nearest = [min(item["distances"]) for item in found["items"]]
    groups = [("samples", nearest), ("validation images", found["validation"])]
    note = f"distance to the nearest training image, {found['unit']}"
    chart = histograms("Distances to training images", groups, note)
    return {"rows": rows, "chart": chart, "unit": found["unit"], "said": _copying(*groups)}


def _copying(one: tuple[str, list[float]], other: tuple[str, list[float]]) -> str:
    samples, real = sorted(one[1]), sorted(other[1])
    low = real[len(real) // 20]
    near = sum(distance < low for distance in samples)
    return (
        f"Half of the samples are nearer than {wording.number(samples[len(samples) // 2])} to a "
        f"training image, half of the validation images nearer than "
        f"{wording.number(real[len(real) // 2])}. {near} of {len(samples)} samples are nearer to "
        "one than the nearest 5 % of validation images."
    )


def _again(run: Finished) -> str:
    """The command that makes the run from the recipe that is kept with it."""
    plugins = [word for file in run.about["plugins"] for word in ("--plugin", file)]
    return shlex.join(["pipeline", "run", str(run.folder / "recipe.yaml"), *plugins])


def _recipe(run: Finished) -> list[tuple[str, str]]:
    """Each line of the recipe with the origin of its value."""
    lines = (run.folder / "recipe.yaml").read_text(encoding="utf-8").splitlines()
    split = (line.rpartition("  # ") for line in lines)
    return [(text.rstrip(), origin) if mark else (origin, "") for text, mark, origin in split]
