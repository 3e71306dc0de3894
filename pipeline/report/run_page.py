"""The page of a run, section by section. A section that has nothing to show is None."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ..diagnosis.pictures import NearestRecord
from ..format import REACH, byte_size, clock, evenly, measured, metric_name
from ..records import HistoryRecord, RunRecord, ScoreRecord, SelectionRecord
from ..records.pictures import pictures
from . import wording
from .encode import encode, png
from .histograms import histograms
from .page import render
from .page_data import Neighbours, RunPage, Trace
from .training_curves import loss_names, training_charts

SAMPLES, REAL, GRIDS, CALLS, COPIES, ROWS = 80, 40, 24, 9, 8, 200
"""The most that a page shows: samples, real images, grids, calls of the network, samples with their
neighbours, rows of numbers."""

BUDGETS = {
    "samples": 1_300_000,
    "real": 600_000,
    "growth": 1_300_000,
    "way": 300_000,
    "nearest": 500_000,
}
"""Bytes of images in the page: together 4 of its 5 MB."""

Section = dict[str, object]
"""What a part of the template shows."""


def run_page(page: RunPage) -> str:
    """The page of a run, as one HTML file."""
    record, history, directions = page.record, page.history, page.record["metrics"]
    anchors = record.get("anchors", {})
    return render(
        "run.html",
        title=record["name"],
        samples=_samples(page),
        real=_real(page),
        what=wording.what_was_run(record, history[-1] if history else None, page.counts),
        scores=[
            wording.score_words(name, score, directions.get(name), anchors.get(name))
            for name, score in record["scores"].items()
        ],
        reach=REACH,
        selection=_selection(record["selection"]),
        growth=_growth(page) if page.grids else None,
        way=_way(page.trace) if page.trace else None,
        charts=training_charts(history, directions, _images_per_step(record)),
        speed=_speed(history[-1]) if history else None,
        table=_table(history) if history else None,
        nearest=_nearest(page, page.neighbours) if page.neighbours else None,
        diagnosis=record["diagnosis"],
        recipe=_recipe(page.recipe),
        artifacts=_artifacts(page),
        left_out=record.get("left_out", []),
        changes=record.get("changes", []),
        chosen=record.get("chosen", {}),
        made=record.get("made", []),
        machine=wording.machine_words(record["machine"]) | _training(record),
        versions=record["versions"] | wording.git_words(record.get("git")),
        command=record["command"],
        again=_again(page),
        finished=record["finished"],
    )


def _training(record: RunRecord) -> dict[str, str]:
    return wording.training_words(record["training"]) if "training" in record else {}


def _samples(page: RunPage) -> Section:
    encoded = encode([png(image) for image in page.samples[:SAMPLES]], BUDGETS["samples"])
    captions = page.record.get("captions") or [""] * len(encoded.uris)
    tiles = [
        {"uri": uri, "caption": text, "alt": f"Sample {i}: {text}" if text else f"Sample {i}"}
        for i, (uri, text) in enumerate(zip(encoded.uris, captions, strict=False), start=1)
    ]
    total, _ = pictures(page.record["recipe"]["sample"])
    return {"images": tiles, "exact": encoded.exact, "total": total}


def _real(page: RunPage) -> Section:
    """Real images, to look from them to the samples and back."""
    encoded = encode([png(image) for image in page.real[:REAL]], BUDGETS["real"])
    evaluate = page.record["recipe"]["evaluate"]
    return {
        "images": [
            {"uri": uri, "caption": "", "alt": f"Real image {i}"}
            for i, uri in enumerate(encoded.uris, start=1)
        ],
        "split": evaluate["split"] if evaluate else "validation",
        "exact": encoded.exact,
    }


def _selection(selection: SelectionRecord) -> Section:
    """The score that chose the checkpoint, beside which the fresh one stands."""
    chosen = selection["chosen_by"]
    score: ScoreRecord = {"value": chosen["value"], "protocol": chosen.get("protocol", {})}
    if "standard_error" in chosen:
        score["standard_error"] = chosen["standard_error"]
    return {
        "checkpoint": selection["checkpoint"],
        "step": selection["step"],
        "score": wording.score_words(chosen["name"], score, None),
        "drawn": "protocol" in chosen,
    }


def _growth(page: RunPage) -> Section:
    """Samples from the same noise at some of the validations."""
    records = {record.step: record for record in page.history}
    steps = list(page.grids)
    shown = [steps[i] for i in evenly(len(steps), GRIDS)]
    encoded = encode([page.grids[step].read_bytes() for step in shown], BUDGETS["growth"])
    frames = [
        {"uri": uri, "step": step, "said": _said(records[step]) if step in records else ""}
        for uri, step in zip(encoded.uris, shown, strict=True)
    ]
    return {"frames": frames, "exact": encoded.exact, "total": len(steps)}


def _said(record: HistoryRecord) -> str:
    """The losses on validation images and the scores of one validation."""
    losses = [
        f"{wording.spaced(name)} {record.validation[name]:.4f}" for name in loss_names([record])
    ]
    scores = [
        f"{metric_name(name)} {measured(score['value'], score.get('standard_error'))}"
        for name, score in record.scores.items()
    ]
    return " · ".join(losses + scores)


def _way(trace: Trace) -> Section:
    """One sample at some of the sampler's calls, what the network sees and what it expects."""
    calls = evenly(len(trace.x), CALLS)
    pngs = [png(images[i]) for i in calls for images in (trace.x, trace.x0)]
    *uris, end = encode([*pngs, png(trace.image)], BUDGETS["way"]).uris
    frames = []
    for i, x, x0 in zip(calls, uris[::2], uris[1::2], strict=True):
        signal, noise = trace.rates[i]
        share = noise**2 / (signal**2 + noise**2)
        frames.append({"call": i + 1, "noise": share, "x": x, "x0": x0})
    return {"frames": frames, "image": end, "calls": len(trace.x)}


def _speed(last: HistoryRecord) -> str | None:
    """How long training took, and how much of it was waiting for data."""
    if not last.seconds:
        return None
    return (
        f"Training took {clock(last.seconds)} without validations, "
        f"{100 * last.data_seconds / last.seconds:.1f} % of it waiting for data: "
        f"{last.images_per_second:,.0f} images a second on average."
    )


def _images_per_step(record: RunRecord) -> int:
    train = record["recipe"]["train"]
    count: int = train["batch_size"] * train.get("accumulate", 1)  # not in older records
    return count


def _table(history: Sequence[HistoryRecord]) -> Section:
    """The records as rows of text, without protocols."""
    lines = [record.flat() for record in history]
    names = list(dict.fromkeys(name for line in lines for name in line if name != "protocol"))
    rows = [
        [f"{line[name]:,.5g}" if name in line else "" for name in names]
        for line in (lines[i] for i in evenly(len(lines), ROWS))
    ]
    return {"names": [wording.spaced(name) for name in names], "rows": rows}


def _nearest(page: RunPage, neighbours: Neighbours) -> Section | None:
    """Samples with the training images nearest to them, and what distances are usual."""
    record = neighbours.record
    if not record["items"]:
        return None
    nearest = [min(item["distances"]) for item in record["items"]]
    note = f"distance to the nearest training image, {record['unit']}"
    groups = [("samples", nearest), ("validation images", record["validation"])]
    return {
        "rows": _nearest_rows(page, neighbours, record["items"][:COPIES]),
        "chart": histograms("Distances to training images", groups, note),
        "unit": record["unit"],
        "said": _copying(sorted(nearest), sorted(record["validation"])),
    }


def _nearest_rows(
    page: RunPage, neighbours: Neighbours, items: Sequence[NearestRecord]
) -> list[Section]:
    samples = [page.samples[item["sample"]] for item in items]
    real = [neighbours.images[i] for item in items for i in item["indices"]]
    uris = encode([png(image) for image in [*samples, *real]], BUDGETS["nearest"]).uris
    of_real = iter(uris[len(items) :])
    return [
        {
            "sample": item["sample"] + 1,
            "uri": uri,
            "near": [
                {"uri": next(of_real), "index": index, "distance": measured(distance)}
                for index, distance in zip(item["indices"], item["distances"], strict=True)
            ],
        }
        for item, uri in zip(items, uris, strict=False)
    ]


def _copying(samples: Sequence[float], validation: Sequence[float]) -> str:
    """The distances of samples and of validation images, both ascending, in words."""
    low = validation[len(validation) // 20]
    near = sum(distance < low for distance in samples)
    return (
        f"Half of the samples are nearer than {measured(samples[len(samples) // 2])} to a "
        f"training image, half of the validation images nearer than "
        f"{measured(validation[len(validation) // 2])}. {near} of {len(samples)} samples are "
        "nearer to one than the nearest 5 % of validation images."
    )


def _artifacts(page: RunPage) -> list[Section]:
    return [
        {**artifact, "name": name, "size": byte_size(page.sizes[name])}
        for name, artifact in page.record["artifacts"].items()
    ]


def _again(page: RunPage) -> str:
    """The command that makes the run from the recipe that is kept with it."""
    plugins = [word for file in page.record["plugins"] for word in ("--plugin", file)]
    return shlex.join(["pipeline", "run", str(page.folder / "recipe.yaml"), *plugins])


def _recipe(text: str) -> list[tuple[str, str]]:
    """Each line of the recipe with the origin of its value."""
    split = (line.rpartition("  # ") for line in text.splitlines())
    return [(line.rstrip(), origin) if mark else (origin, "") for line, mark, origin in split]
