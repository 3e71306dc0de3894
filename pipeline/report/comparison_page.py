"""The page of a comparison: the verdict first, then what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..format import clock
from . import wording
from .encode import pictures, png
from .intervals import Intervals, Value, intervals
from .page import render

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Data = Mapping[str, Any]

NOISES = 8
"""Rows of pictures: the most starting noises that are shown."""

BUDGET = 3_000_000
"""Bytes of pictures in the page, of its 5 MB."""

SOURCES = (("training_seeds", "training seeds"), ("finite_samples", "finite samples"))
"""The two errors of a difference, kept apart; the verdict rests on the first that is there."""

ABSENT = "not measured"


def comparison_page(data: Data, sheets: Mapping[str, ArrayLike]) -> str:
    """One HTML file. ``data`` is the comparison's, ``sheets`` pictures by variant from one noise.

    The pictures are uint8 (N, C, H, W), picture i of every variant from the same noise.
    """
    return render(
        "comparison.html",
        title=data["name"],
        metrics=[_metric(data, name, about) for name, about in data["metrics"].items()],
        conclusions=conclusions(data),
        sheet=_sheet(data, sheets),
        costs=[_cost(variant) for variant in data["variants"]],
        notes=data["notes"],
        variants=data["variants"],
        training=_training(data),
        command=data["command"],
        machine=wording.machine(data["machine"]),
        versions=data["versions"],
        finished=data["finished"],
    )


def _metric(data: Data, name: str, about: Data) -> dict[str, Any]:
    pairs = [pair for pair in data["pairs"] if pair["metric"] == name]
    variants = [variant for variant in data["variants"] if variant["scores"].get(name)]
    return {
        "name": name,
        "better": wording.better(about),
        "standing": standing([variant["name"] for variant in data["variants"]], pairs),
        "verdicts": [(_pair(pair), pair["verdict"]) for pair in pairs],
        "differences": _differences(data, name, pairs),
        "rows": [_row(pair) for pair in pairs],
        "correction": about.get("correction"),
        "scores": _scores(data, name, variants) if variants else None,
        "protocol": wording.protocol(about["protocol"]),
    }


def standing(names: Sequence[str], pairs: Sequence[Data]) -> str | None:
    """All pairs in one sentence; None where one pair's verdict says it all."""
    if len(pairs) < 2:
        return None
    found = [pair for pair in pairs if pair["better"]]
    if not found:
        return f"No difference was found between any two of the {len(names)} variants."
    worse = {
        pair["first"] if pair["better"] == pair["second"] else pair["second"] for pair in found
    }
    best = [name for name in names if name not in worse]
    wins = [pair for pair in found if best and pair["better"] == best[0]]
    if len(best) == 1 and len(wins) == len(names) - 1:
        return f"{best[0]} is better than every other variant."
    return f"No variant was found better than {' or '.join(best)}." if best else None


def _pair(pair: Data) -> str:
    return f"{pair['second']} against {pair['first']}"


def _differences(data: Data, name: str, pairs: Sequence[Data]) -> Intervals | None:
    """A forest plot of the differences to the first variant, each source of error for itself."""
    reference = data["variants"][0]["name"]
    mine = [pair for pair in pairs if pair["first"] == reference]
    if not mine:
        return None
    rows = [(pair["second"], _values(pair)) for pair in mine]
    present = [i for i, (key, _) in enumerate(SOURCES) if any(pair[key] for pair in mine)]
    legend = [(f"95 % interval from {SOURCES[i][1]}", i + 1) for i in present]
    title = f"Difference in {name} to {reference}"
    return intervals(title, rows, legend, zero=True, note="zero: no difference")


def _values(pair: Data) -> list[Value]:
    values = []
    for style, (key, words) in enumerate(SOURCES, start=1):
        if found := pair[key]:
            low, high = found["interval"]
            number = wording.number(pair["difference"], found["standard_error"], sign=True)
            said = f"{number}, {words}: {_interval(found)}"
            values.append(Value(pair["difference"], low, high, style, said))
    return values or [Value(pair["difference"], None, None, 1, f"{pair['difference']:+.4g}")]


def _row(pair: Data) -> dict[str, Any]:
    """A line of the table."""
    rests: Data = next((pair[key] for key, _ in SOURCES if pair[key]), {})
    error, p = rests.get("standard_error"), pair["p_corrected"]
    return {
        "pair": _pair(pair),
        "difference": wording.number(pair["difference"], error, sign=True),
        "by_seed": ", ".join(wording.number(d, error, sign=True) for d in pair["by_seed"]),
        "intervals": [_interval(pair[key]) for key, _ in SOURCES],
        "p": _p(rests.get("p") if p is None else p),
    }


def _interval(found: Data | None) -> str:
    if found is None:
        return ABSENT
    low, high = found["interval"]
    return wording.interval(low, high, found["standard_error"])


def _p(p: float | None) -> str:
    if p is None:
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _scores(data: Data, name: str, variants: Sequence[Data]) -> Intervals:
    """Each variant's scores, a mark for each seed."""
    rows = [
        (
            variant["name"],
            [
                _score(score, seed)
                for score, seed in zip(variant["scores"][name], data["seeds"], strict=False)
            ],
        )
        for variant in variants
    ]
    note = "a mark for each seed, with its 95 % interval from finite samples"
    return intervals(f"{name} of each variant", rows, note=note)


def _score(score: Data, seed: int) -> Value:
    value, error = score["value"], score.get("standard_error")
    said = f"seed {seed}: {wording.number(value, error)}"
    if error is None:
        return Value(value, None, None, 1, said)
    low, high = value - wording.NORMAL * error, value + wording.NORMAL * error
    return Value(value, low, high, 1, f"{said} ({wording.interval(low, high, error)})")


def _sheet(data: Data, sheets: Mapping[str, ArrayLike]) -> dict[str, Any] | None:
    """The same noise through each variant: a row for each noise."""
    names = [variant["name"] for variant in data["variants"] if variant["name"] in sheets]
    if not names:
        return None
    pngs = [[png(image) for image in np.asarray(sheets[name])[:NOISES]] for name in names]
    made = pictures(list(chain.from_iterable(pngs)), BUDGET)
    starts = [sum(map(len, pngs[:i])) for i in range(len(pngs) + 1)]
    columns = [made.uris[a:b] for a, b in pairwise(starts)]
    rows = [
        [
            {"uri": uri, "alt": f"{name}, noise {i + 1}"}
            for name, uri in zip(names, row, strict=True)
        ]
        for i, row in enumerate(zip(*columns, strict=False))
    ]
    return {"names": names, "rows": rows, "exact": made.exact, "seed": data["seeds"][0]}


def _cost(variant: Data) -> dict[str, Any]:
    cost = variant["cost"]

    def told(key: str, form: str) -> str:
        return ABSENT if cost.get(key) is None else format(cost[key], form)

    memory = cost.get("peak_memory")
    return {
        "name": variant["name"],
        "cells": [
            told("parameters", ",d"),
            told("steps", ",d"),
            told("seconds_a_step", ".3g"),
            told("images_per_second", ".3g"),
            told("nfe", "d"),
            ABSENT if memory is None else wording.amount(memory),
        ],
    }


def _training(data: Data) -> str:
    seeds = data["seeds"]
    many = "one seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    budget = f", {data['budget']} of training each" if data["budget"] else ""
    variants = len(data["variants"])
    return f"{variants} variants with {many}{budget}; {clock(data['seconds'])} in all."


def conclusions(data: Data) -> list[str]:
    """What a reader should and should not conclude."""
    seeds = len(data["seeds"])
    if seeds == 1:
        said = [
            "With one seed this speaks of these trained networks, not of the recipes: another "
            "seed could turn the verdict."
        ]
    else:
        said = [
            f"With {seeds} seeds this speaks of the recipes, trained as long as here, on this "
            "data, at this size. A longer training or another dataset may order them otherwise."
        ]
    unclear = [pair for pair in data["pairs"] if pair["better"] is None]
    if unclear:
        said.append(
            "That no difference was found does not say that there is none: it may be smaller "
            "than what so many seeds and images can show."
        )
    smallest = [
        f"{found['smallest_seen']:.2g} in {pair['metric']} for {_pair(pair)}"
        for pair in unclear
        if (found := pair["training_seeds"]) and found["smallest_seen"]
    ]
    if smallest:
        said.append(f"The smallest differences that could have been seen: {'; '.join(smallest)}.")
    if seeds == 1 and any(pair["finite_samples"] for pair in data["pairs"]):
        said.append("The intervals cover what other images from the same networks would change.")
    return [*said, "A score is one number of many images: look at the pictures too."]
