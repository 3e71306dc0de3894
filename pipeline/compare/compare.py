"""Is it better? Variants are trained alike, scored alike, and their differences judged."""

from __future__ import annotations

import math
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np

from ..artifacts.session import Session
from ..diffusion.measure import score_record
from ..errors import InputError
from ..machine import choose_device, machine, versions
from ..plugin.contracts import Metric
from ..plugin.registry import Registry
from ..records import ComparisonRecord, CostRecord, MetricRecord, VariantRecord
from ..runs.cache import open_store
from ..runs.claim import check_place
from ..runs.command import shell_options, short_name
from ..runs.finished import RUNS, is_run
from ..runs.metrics import direction
from ..runs.page import COMPARISON, PICTURES, write_comparison_page
from ..runs.results import CompareResult, PlanResult
from ..store.checked import read_json, write_json
from ..store.folders import make_folder, replacing
from .comparable import cautions, refuse_unlike
from .cost import measure_cost
from .scoring import ScoredTrial, score_trial, shared_protocol
from .setting import Budget, Setting
from .subjects import Subject, subject_of, with_budget
from .trials import Trial, plan_trials, run_trials, trials_of
from .variants import Variant, variants_of
from .verdicts import judge

SEEDS = 3
"""Trainings of each recipe: the fewest that say how much they differ among themselves."""

SHOWN = 12
"""Samples of each variant that are kept for the page."""


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
) -> CompareResult | PlanResult:
    """Compare recipes and finished runs, into ``runs/<name>/``: data and a page.

    ``swaps`` are like ``backbone.upsampler=bilinear,nearest``. ``seeds``: trainings of each; none:
    3, or 1 where all are finished runs. ``budget`` is ``steps=N`` or ``minutes=N``. ``effect`` is
    the difference that is worth seeing; none: a tenth of the first's score. ``plan``: train
    nothing, return ``{"commands": […]}``. InputError for what cannot be compared.
    """
    started = time.monotonic()
    session = Session(Registry.load(plugins), open_store(store), choose_device(device))
    limit = Budget.parse(budget) if budget is not None else None
    setting = Setting(session, tuple(plugins), device, metrics, seeds, num_steps, effect, limit)
    variants = variants_of(sources, swaps, overrides, session.registry)
    folder = _folder(short_name(_name(variants, swaps)) if name is None else name)
    command = _command(sources, swaps, overrides, budget, name, store, setting)
    subjects = [subject_of(variant, setting) for variant in variants]
    refuse_unlike(subjects, setting)
    subjects = [with_budget(subject, setting) for subject in subjects]
    trials = trials_of([s.variant for s in subjects], _seeds(setting, variants), session.registry)
    if plan:
        return {"commands": plan_trials(trials, setting), "then": command}
    run_trials(trials, setting, jobs, folder / "logs")
    return _write(folder, command, started, subjects, trials, setting)


def _command(
    sources: Sequence[str],
    swaps: Sequence[str],
    overrides: Sequence[str],
    budget: str | None,
    name: str | None,
    store: Path | None,
    setting: Setting,
) -> str:
    """``pipeline compare`` with these options, for any shell."""
    given = shell_options(
        swap=swaps,
        set=overrides,
        seeds=setting.seeds,
        budget=budget,
        metric=setting.metrics,
        num_steps=setting.num_steps,
        effect=setting.effect,
        name=name,
        plugin=setting.plugins,
        store=store,
        device=None if setting.device == "auto" else setting.device,
    )
    return shlex.join(["pipeline", "compare", *map(str, sources), *given])


def _name(variants: Sequence[Variant], swaps: Sequence[str]) -> str:
    bases = dict.fromkeys(v.run.name if v.run else v.loaded.base for v in variants)
    changed = [re.sub(r"[^\w.+=,-]+", "-", swap.rpartition(".")[2]) for swap in swaps]
    return "+".join(["compare-" + "-".join(bases), *changed])


def _folder(name: str) -> Path:
    """The comparison's folder. InputError where it is a run's."""
    if not re.fullmatch(r"\w[\w.+=,-]*", name):
        raise InputError(f"--name {name}: may have letters, digits and _ . + = , - in it")
    check_place(name)
    if is_run(RUNS / name):
        raise InputError(f"--name {name}: is a run's already; give the comparison another")
    return RUNS / name


def _seeds(setting: Setting, variants: Sequence[Variant]) -> int:
    return setting.seeds or (1 if all(variant.finished for variant in variants) else SEEDS)


def _write(
    folder: Path,
    command: str,
    started: float,
    subjects: Sequence[Subject],
    trials: Sequence[Trial],
    setting: Setting,
) -> CompareResult:
    """``compare.json``, the pictures and the page of all finished trials."""
    scored = _score_all(subjects, trials, setting)
    record = _record(folder.name, command, subjects, trials, scored, setting)
    record["seconds"] = time.monotonic() - started
    pictures = {name: trials[0].pictures(SHOWN).numpy() for name, trials in scored.items()}
    make_folder(folder)
    with replacing(folder / PICTURES) as partial, partial.open("wb") as file:
        np.save(file, np.stack(list(pictures.values())))
    write_json(folder / COMPARISON, dict(record))
    # The same for those who call it and those who read the file.
    written = cast("ComparisonRecord", read_json(folder / COMPARISON))
    page = write_comparison_page(folder, written, pictures)
    return {**written, "folder": str(folder), "page": str(page)}


def _score_all(
    subjects: Sequence[Subject], trials: Sequence[Trial], setting: Setting
) -> dict[str, list[ScoredTrial]]:
    """The trials by variant, in the order of seeds, each drawn from the first variant's noise."""
    scored: dict[str, list[ScoredTrial]] = {subject.variant.name: [] for subject in subjects}
    for number, trial in enumerate(trials):
        subject = subjects[number % len(subjects)]
        noise = trials[number - number % len(subjects)].seed  # the first variant's
        scored[trial.variant].append(score_trial(trial, noise, subject.metrics, setting))
    return scored


def _record(
    name: str,
    command: str,
    subjects: Sequence[Subject],
    trials: Sequence[Trial],
    scored: Mapping[str, Sequence[ScoredTrial]],
    setting: Setting,
) -> ComparisonRecord:
    metrics = {name: metric for name, (metric, _) in subjects[0].metrics.items()}
    pairs = [
        pair
        for metric_name, metric in metrics.items()
        for pair in judge(metric_name, metric, scored, setting.effect)
    ]
    timed = setting.budget is not None and setting.budget.unit == "minutes"
    steps = {variant: trials[0].steps for variant, trials in scored.items()}
    return {
        "name": name,
        "command": command,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(setting.session.device),
        "versions": versions(),
        "seconds": 0.0,
        "seeds": [trials[i].seed for i in range(0, len(trials), len(subjects))],
        "budget": str(setting.budget) if setting.budget else None,
        "notes": cautions(subjects, steps, timed=timed),
        "metrics": {name: _metric_record(name, m, scored) for name, m in metrics.items()},
        "variants": [
            _variant_record(s, scored[s.variant.name], measure_cost(s.variant, s.images, setting))
            for s in subjects
        ],
        "pairs": pairs,
    }


def _metric_record(
    name: str, metric: Metric, scored: Mapping[str, Sequence[ScoredTrial]]
) -> MetricRecord:
    pairs = math.comb(len(scored), 2)
    return {
        **direction(metric),
        "protocol": shared_protocol([t for trials in scored.values() for t in trials], name),
        "correction": f"Holm over {pairs} pairs" if pairs > 1 else None,
    }


def _variant_record(
    subject: Subject, scored: Sequence[ScoredTrial], cost: CostRecord
) -> VariantRecord:
    variant = subject.variant
    return {
        "name": variant.name,
        "changes": list(variant.changes),
        "recipe": variant.file,
        "runs": [str(trial.trial.folder) for trial in scored],
        "scores": {
            name: [score_record(trial.scores[name]) for trial in scored] for name in subject.metrics
        },
        "cost": {**cost, "steps": scored[0].steps, "nfe": scored[0].nfe},
    }
