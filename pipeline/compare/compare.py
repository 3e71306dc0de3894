"""Is it better? Variants are trained alike, scored alike, and their differences judged."""

from __future__ import annotations

import json
import math
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..artifacts.embed import Embedder
from ..artifacts.prepare import prepare
from ..diffusion.measure import as_data
from ..errors import InputError
from ..machine import choose_device, machine, versions
from ..plugin.registry import Registry
from ..progress import note
from ..recipe.build import build_stage
from ..recipe.load import spec_of
from ..records import ComparisonRecord
from ..runs.evaluate import metrics_of
from ..runs.folder import RUNS, is_run, open_store, options_as_words, read_run, short_name
from ..runs.page import COMPARISON, PICTURES, write_comparison_page
from ..runs.probe import probe
from ..runs.run import direction
from . import trials
from .comparable import Subject, cautions, not_comparable
from .cost import Cost, measure
from .scoring import Scored, scored, shared_protocol
from .trials import Place, Trial
from .variants import Variant, variants
from .verdicts import judge

SEEDS = 3
"""Trainings of each recipe: the fewest that say how much they differ among themselves."""

SHOWN = 12
"""Samples of each variant that are kept for the page."""


@dataclass(frozen=True)
class Asked:
    """The options that the parts share."""

    seeds: int | None
    budget: tuple[str, float] | None
    metrics: Sequence[str]
    num_steps: int | None
    effect: float | None


def compare(
    sources: Sequence[str],
    *,
    swaps: Sequence[str] = (),
    overrides: Sequence[str] = (),
    seeds: int | None = None,
    budget: str | None = None,
    metrics: Sequence[str] = (),
    num_steps: int | None = None,
    effect: float | None = None,
    jobs: int = 1,
    plan: bool = False,
    name: str | None = None,
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Recipes and finished runs against each other, into ``runs/<name>/``: data and a page.

    ``seeds``: trainings of each; none: 3, or 1 where all are finished runs. ``budget`` is
    ``steps=N`` or ``minutes=N``. ``effect`` is the difference that is worth seeing; none: a tenth
    of the first's score. ``plan``: train nothing, return ``{"commands": […]}``. InputError for what
    cannot be compared.
    """
    started, place = time.monotonic(), choose_device(device)
    given = options_as_words(
        swap=swaps,
        set=overrides,
        seeds=seeds,
        budget=budget,
        metric=metrics,
        num_steps=num_steps,
        effect=effect,
        name=name,
        plugin=plugins,
        store=store,
        device=None if device == "auto" else device,
    )
    command = shlex.join(["pipeline", "compare", *map(str, sources), *given])
    asked = Asked(seeds, _budget(budget), metrics, num_steps, effect)
    registry, kept = Registry.load(plugins), open_store(store)
    found = variants(sources, swaps, overrides, registry)
    folder = _folder(short_name(_name(found, swaps)) if name is None else name)
    embedder = Embedder(registry, kept, place)
    subjects = [_subject(variant, asked, embedder) for variant in found]
    _refuse(not_comparable(subjects, num_steps, embedder))
    where = Place(kept.root, device, tuple(plugins))
    subjects = [_equal(subject, asked, where, embedder) for subject in subjects]
    todo = trials.trials([s.variant for s in subjects], _seeds(asked, found), registry)
    if plan:
        return {"commands": trials.plan(todo, where), "then": command}
    trials.run(todo, where, jobs, folder / "logs")
    data, sheets = _result(subjects, todo, asked, where, embedder)
    data = {
        "name": folder.name,
        "command": command,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(place),
        "versions": versions(),
        "seconds": time.monotonic() - started,
        **data,
    }
    text = json.dumps(data, indent=2, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / COMPARISON).write_text(text + "\n")
    np.save(folder / PICTURES, np.stack(list(sheets.values())))
    # The same for those who call this and those who read the file.
    record: ComparisonRecord = json.loads(text)
    page = write_comparison_page(folder, record, sheets)
    return {**record, "folder": str(folder), "page": str(page)}


def _budget(text: str | None) -> tuple[str, float] | None:
    """``steps=2000`` -> ("steps", 2000)."""
    if text is None:
        return None
    given = re.fullmatch(r"(steps|minutes)=(\d+(?:\.\d+)?)", text.strip())
    if not given or not float(given[2]) or (given[1] == "steps" and "." in given[2]):
        raise InputError(f"--budget {text}: should be like steps=2000 or minutes=10")
    return given[1], float(given[2])


def _name(found: Sequence[Variant], swaps: Sequence[str]) -> str:
    bases = dict.fromkeys(v.run.name if v.run else v.loaded.base for v in found)
    changed = [re.sub(r"[^\w.+=,-]+", "-", swap.rpartition(".")[2]) for swap in swaps]
    return "+".join(["compare-" + "-".join(bases), *changed])


def _folder(name: str) -> Path:
    """Of the comparison; no run's."""
    if not re.fullmatch(r"\w[\w.+=,-]*", name):
        raise InputError(f"--name {name}: may have letters, digits and _ . + = , - in it")
    if is_run(RUNS / name):
        raise InputError(f"--name {name}: is a run's already; give the comparison another")
    return RUNS / name


def _seeds(asked: Asked, found: Sequence[Variant]) -> int:
    return asked.seeds or (1 if all(variant.finished for variant in found) else SEEDS)


def _subject(variant: Variant, asked: Asked, embedder: Embedder) -> Subject:
    """With its real images, which a finished run has already, and its metrics."""
    registry, recipe = embedder.registry, variant.loaded.recipe
    if variant.finished and variant.run:
        about = read_run(variant.run)
        images = embedder.store.open("images", about["artifacts"]["images"]["key"])
    else:
        probe(recipe)
        if asked.num_steps and recipe.evaluate:
            variant = variant.changed([f"evaluate.num_steps={asked.num_steps}"], registry)
        images = prepare(recipe, registry, embedder.store)
    built = [
        build_stage(registry, "metric", spec_of(t, "--metric"), "--metric") for t in asked.metrics
    ]
    if not built:
        built = (
            recipe.evaluate.metrics if recipe.evaluate else [build_stage(registry, "metric", "kid")]
        )
    return Subject(variant, images, metrics_of(built, None, recipe, registry))


def _refuse(pairs: Sequence[Mapping[str, str]]) -> None:
    if pairs:
        lines = [
            f"{p['first']} and {p['second']}: not comparable, because {p['why']}" for p in pairs
        ]
        raise InputError("\n".join([*lines, "make them equal with --set, or compare them apart"]))


def _equal(subject: Subject, asked: Asked, where: Place, embedder: Embedder) -> Subject:
    """With as much training as the budget gives."""
    if asked.budget is None:
        return subject
    unit, amount = asked.budget
    if unit == "minutes":
        amount = max(1, amount * 60 / _cost(subject, asked, where, embedder)["seconds_a_step"])
        note(f"{subject.variant.name}: {int(amount):,} steps fit into the budget")
    steps, settings = int(amount), subject.variant.loaded.recipe.train
    per_epoch = probe(subject.variant.loaded.recipe).steps_per_epoch
    more = [f"train.max_steps={steps}"]
    if settings.epochs * per_epoch < steps:
        more.append(f"train.epochs={math.ceil(steps / per_epoch)}")
    return replace(subject, variant=subject.variant.changed(more, embedder.registry))


def _cost(subject: Subject, asked: Asked, where: Place, embedder: Embedder) -> Cost:
    variant = subject.variant
    return measure(
        variant.loaded.data,
        subject.images,
        asked.num_steps,
        where.plugins,
        embedder.registry,
        embedder.store,
        embedder.device,
    )


def _result(
    subjects: Sequence[Subject],
    todo: Sequence[Trial],
    asked: Asked,
    where: Place,
    embedder: Embedder,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``compare.json`` says of all finished trials, and the pictures of its page."""
    found: dict[str, list[Scored]] = {subject.variant.name: [] for subject in subjects}
    for number, trial in enumerate(todo):
        subject = subjects[number % len(subjects)]
        noise = todo[number - number % len(subjects)].seed  # the first variant's
        one = scored(trial, noise, asked.num_steps, subject.metrics, embedder)
        found[trial.variant].append(one)
    pairs = []
    for name, (metric, _) in subjects[0].metrics.items():
        pairs += judge(name, metric, found, asked.effect)
    data = {
        "seeds": [todo[i].seed for i in range(0, len(todo), len(subjects))],
        "budget": asked.budget and f"{asked.budget[1]:,.10g} {asked.budget[0]}",
        "notes": cautions(
            subjects,
            {name: ones[0].steps for name, ones in found.items()},
            timed=asked.budget is not None and asked.budget[0] == "minutes",
        ),
        "metrics": {
            name: _about(name, metric, found) for name, (metric, _) in subjects[0].metrics.items()
        },
        "variants": [
            _told(subject, found[subject.variant.name], _cost(subject, asked, where, embedder))
            for subject in subjects
        ],
        "pairs": pairs,
    }
    return data, {name: ones[0].pictures(SHOWN).numpy() for name, ones in found.items()}


def _about(name: str, metric: Any, found: Mapping[str, Sequence[Scored]]) -> dict[str, Any]:
    pairs = math.comb(len(found), 2)
    return {
        **direction(metric),
        "protocol": shared_protocol([one for ones in found.values() for one in ones], name),
        "correction": f"Holm over {pairs} pairs" if pairs > 1 else None,
    }


def _told(subject: Subject, found: Sequence[Scored], cost: Cost) -> dict[str, Any]:
    variant = subject.variant
    return {
        "name": variant.name,
        "changes": list(variant.changes),
        "recipe": variant.file,
        "runs": [str(one.trial.folder) for one in found],
        "scores": {name: [as_data(one.scores[name]) for one in found] for name in subject.metrics},
        "cost": {**cost, "steps": found[0].steps, "nfe": found[0].nfe},
    }
