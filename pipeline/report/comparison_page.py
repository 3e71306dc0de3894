"""The page of a comparison: tables, what they mean in sentences, and what all of it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Literal

from ..format import (
    anchor_words,
    byte_size,
    measured,
    metric_name,
    number,
    probability,
    trained_words,
    with_half,
)
from ..records import (
    ComparisonRecord,
    ErrorRecord,
    MetricRecord,
    PairRecord,
    ScoreRecord,
    VariantRecord,
)
from . import wording
from .encode import Pixels, encode, png
from .intervals import Intervals, Value, intervals
from .page import render

Section = dict[str, object]
"""What a part of the template shows."""

NOISES = 8
"""Rows of samples: the most starting noises that are shown."""

BUDGET = 3_000_000
"""Bytes of images in the page, of its 5 MB."""

SOURCES: tuple[tuple[Literal["training_seeds", "finite_samples"], str], ...] = (
    ("training_seeds", "training seeds"),
    ("finite_samples", "finite samples"),
)
"""The two errors of a difference, kept apart; the verdict rests on the first that is there."""

ABSENT = "not measured"


def comparison_page(
    record: ComparisonRecord, samples: Mapping[str, Pixels], real: Pixels | None = None
) -> str:
    """The page of a comparison, as one HTML file.

    ``samples`` are images of each variant, (N, C, H, W), image i of all from the same noise, and
    ``real`` are real ones.
    """
    return render(
        "comparison.html",
        title=record["name"],
        metrics=[_metric(record, name, metric) for name, metric in record["metrics"].items()],
        conclusions=conclusions(record),
        sheet=_sheet(record, samples, real),
        costs=[_cost(variant) for variant in record["variants"]],
        spread=all("seconds_a_step_half" in v["cost"] for v in record["variants"]),
        notes=record["notes"],
        variants=record["variants"],
        training=_training(record),
        command=record["command"],
        machine=wording.machine_words(record["machine"]),
        versions=record["versions"],
        finished=record["finished"],
    )


def _metric(record: ComparisonRecord, name: str, metric: MetricRecord) -> Section:
    pairs = [pair for pair in record["pairs"] if pair["metric"] == name]
    return {
        "name": metric_name(name),
        "better": wording.direction_words(metric),
        "table": _table(record, name, pairs),
        "anchors": anchor_words(metric.get("anchors", {})),
        "standing": standing([variant["name"] for variant in record["variants"]], pairs),
        "verdicts": [(_against(pair), pair["verdict"]) for pair in pairs],
        "differences": _differences(record, name, pairs),
        "rows": [_row(pair) for pair in pairs],
        "correction": metric["correction"],
        "scores": _scores(record, name),
        "protocol": wording.protocol_words(metric["protocol"]),
    }


def _table(record: ComparisonRecord, name: str, pairs: Sequence[PairRecord]) -> Section:
    """What each variant scores, the mean over seeds, and how that differs from the first."""
    reference = record["variants"][0]["name"]
    against = {pair["second"]: pair for pair in pairs if pair["first"] == reference}
    rows = []
    for variant in record["variants"]:
        scores = variant["scores"][name]
        mean = sum(score["value"] for score in scores) / len(scores)
        cells = [variant["name"], measured(mean, scores[0].get("standard_error"))]
        if pair := against.get(variant["name"]):
            row, error = _row(pair), pair["training_seeds"] or pair["finite_samples"]
            cells += [str(row["difference"]), _interval(error), str(row["p"])]
        rows.append(cells + [""] * (5 - len(cells)))
    seeds = len(record["seeds"])
    said = f"{seeds} training seeds" if seeds > 1 else "finite samples of these networks alone"
    return {"reference": reference, "rows": rows, "source": f"Intervals from {said}."}


def standing(names: Sequence[str], pairs: Sequence[PairRecord]) -> str | None:
    """All pairs in one sentence; None where one pair's verdict says it all."""
    if len(pairs) < 2:
        return None
    clear = [pair for pair in pairs if pair["better"]]
    if not clear:
        return f"No difference was found between any two of the {len(names)} variants."
    worse = {
        pair["first"] if pair["better"] == pair["second"] else pair["second"] for pair in clear
    }
    best = [name for name in names if name not in worse]
    wins = [pair for pair in clear if best and pair["better"] == best[0]]
    if len(best) == 1 and len(wins) == len(names) - 1:
        return f"{best[0]} is better than every other variant."
    return f"No variant was found better than {' or '.join(best)}." if best else None


def _against(pair: PairRecord) -> str:
    return f"{pair['second']} against {pair['first']}"


def _differences(
    record: ComparisonRecord, name: str, pairs: Sequence[PairRecord]
) -> Intervals | None:
    """A forest plot of the differences to the first variant, each source of error for itself."""
    reference = record["variants"][0]["name"]
    shown = [pair for pair in pairs if pair["first"] == reference]
    if not shown:
        return None
    rows = [(pair["second"], _values(pair)) for pair in shown]
    legend = [
        (f"95 % interval from {words}", style)
        for style, (source, words) in enumerate(SOURCES, start=1)
        if any(pair[source] for pair in shown)
    ]
    title = f"Difference in {metric_name(name)} to {reference}"
    return intervals(title, rows, legend, zero=True, note="zero: no difference")


def _values(pair: PairRecord) -> list[Value]:
    """A pair's difference with each of its intervals."""
    difference, values = pair["difference"], []
    for style, (source, words) in enumerate(SOURCES, start=1):
        if error := pair[source]:
            text = measured(difference, error["standard_error"], sign=True)
            tip = f"{text}, {words}: {_interval(error)}"
            values.append(Value(difference, *error["interval"], style, tip))
    return values or [Value(difference, None, None, 1, f"{difference:+.4g}")]


def _row(pair: PairRecord) -> Section:
    """A line of the table."""
    first = next((pair[source] for source, _ in SOURCES if pair[source]), None)
    error, p = (first["standard_error"], first["p"]) if first else (None, None)
    p = p if pair["p_corrected"] is None else pair["p_corrected"]
    return {
        "pair": _against(pair),
        "difference": measured(pair["difference"], error, sign=True),
        "by_seed": ", ".join(measured(d, error, sign=True) for d in pair["by_seed"]),
        "intervals": [_interval(pair[source]) for source, _ in SOURCES],
        "p": ABSENT if p is None else probability(p),
    }


def _interval(error: ErrorRecord | None) -> str:
    if error is None:
        return ABSENT
    return wording.range_words(*error["interval"], error["standard_error"])


def _scores(record: ComparisonRecord, name: str) -> Intervals | None:
    """Each variant's scores, a mark for each seed."""
    rows = [
        (
            variant["name"],
            [
                _score(score, seed)
                for score, seed in zip(variant["scores"][name], record["seeds"], strict=False)
            ],
        )
        for variant in record["variants"]
        if variant["scores"].get(name)
    ]
    note = "a mark for each seed, with its 95 % interval from finite samples"
    return intervals(f"{metric_name(name)} of each variant", rows, note=note) if rows else None


def _score(score: ScoreRecord, seed: int) -> Value:
    value, error = score["value"], score.get("standard_error")
    tip = f"seed {seed}: {measured(value, error)}"
    if error is None:
        return Value(value, None, None, 1, tip)
    low, high = wording.ends(value, error)
    return Value(value, low, high, 1, f"{tip} ({wording.range_words(low, high, error)})")


def _sheet(
    record: ComparisonRecord, samples: Mapping[str, Pixels], real: Pixels | None
) -> Section | None:
    """The same noise through each variant: a row for each noise, with a real image at its end."""
    names = [variant["name"] for variant in record["variants"] if variant["name"] in samples]
    if not names:
        return None
    columns = [(name, samples[name], "noise") for name in names]
    columns += [] if real is None else [("real images", real, "image")]
    pngs = [[png(image) for image in images[:NOISES]] for _, images, _ in columns]
    encoded = encode(list(chain.from_iterable(pngs)), BUDGET)
    starts = [sum(map(len, pngs[:i])) for i in range(len(pngs) + 1)]
    uris = [encoded.uris[a:b] for a, b in pairwise(starts)]
    rows = [
        [
            {"uri": uri, "alt": f"{name}, {what} {i}"}
            for (name, _, what), uri in zip(columns, row, strict=True)
        ]
        for i, row in enumerate(zip(*uris, strict=False), start=1)
    ]
    return {
        "names": names,
        "rows": rows,
        "real": real is not None,
        "exact": encoded.exact,
        "seed": record["seeds"][0],
    }


def _cost(variant: VariantRecord) -> Section:
    """A line of the table; cells in the order of its head."""
    cost = variant["cost"]
    cells = [
        f"{cost['parameters']:,d}",
        f"{cost['steps']:,d}",
        with_half(cost["seconds_a_step"], cost.get("seconds_a_step_half")),
        with_half(cost["images_per_second"], cost.get("images_per_second_half")),
        f"{cost['nfe']:d}",
        byte_size(cost["peak_memory"]),
    ]
    return {"name": variant["name"], "cells": cells}


def _training(record: ComparisonRecord) -> str:
    seeds = record["seeds"]
    many = "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    budget = f", {record['budget']} of training each" if record["budget"] else ""
    variants = len(record["variants"])
    return f"{variants} variants with {many}{budget}; {trained_words(record)}."


def conclusions(record: ComparisonRecord) -> list[str]:
    """What a reader should and should not conclude."""
    one_seed = len(record["seeds"]) == 1
    unclear = [pair for pair in record["pairs"] if pair["better"] is None]
    sentences = [_reach(len(record["seeds"]))]
    if unclear:
        sentences.append(
            "That no difference was found does not say that there is none: it may be smaller "
            "than what so many seeds and images can show."
        )
    if smallest := _smallest_seen(unclear):
        sentences.append(
            f"The smallest differences that could have been seen: {'; '.join(smallest)}."
        )
    if one_seed and any(pair["finite_samples"] for pair in record["pairs"]):
        sentences.append(
            "The intervals cover what other images from the same networks would change."
        )
    return [*sentences, "A score is one number of many images: look at the pictures too."]


def _reach(seeds: int) -> str:
    """How far the verdict reaches."""
    if seeds == 1:
        return (
            "With one seed this speaks of these trained networks, not of the recipes: another "
            "seed could turn the verdict."
        )
    return (
        f"With {seeds} seeds this speaks of the recipes, trained as long as here, on this "
        "data, at this size. A longer training or another dataset may order them otherwise."
    )


def _smallest_seen(pairs: Sequence[PairRecord]) -> list[str]:
    return [
        f"{number(smallest)} in {metric_name(pair['metric'])} for {_against(pair)}"
        for pair in pairs
        if (error := pair["training_seeds"]) and (smallest := error.get("smallest_seen"))
    ]
