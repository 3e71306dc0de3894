"""Is it better? Variants are trained alike, scored alike, and their differences judged."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

import numpy as np

from ..artifacts.prepare import read_images
from ..artifacts.session import Session
from ..diffusion.measure import score_record
from ..errors import Failed, InputError
from ..machine import choose_device, machine, versions
from ..plugin.contracts import Metric
from ..plugin.registry import Registry
from ..progress import note
from ..ranks import here
from ..records import (
    AnchorRecord,
    ComparisonRecord,
    CostRecord,
    MetricRecord,
    TimeRecord,
    VariantRecord,
)
from ..runs.claim import check_place
from ..runs.command import shell_options
from ..runs.layout import RUNS
from ..runs.metrics import direction
from ..runs.page import (
    COMPARISON,
    PICTURES,
    REAL_PICTURES,
    real_images,
    write_comparison_page,
)
from ..runs.resolve import is_run
from ..runs.results import CompareResult, PlanResult
from ..store.checked import read_json, write_json
from ..store.folders import make_folder, replacing
from ..store.place import open_store
from ..system import fit
from .budget import with_budget
from .comparable import alike, cautions, refuse_unlike
from .cost import measure_costs
from .place import Place
from .reach import refuse_ineffective
from .scoring import ScoredTrial, score_trial, shared_protocol, trial_anchors
from .setting import Budget, Setting
from .subjects import Subject, subject_of
from .trials import Trial, plan_trials, run_here, trials_of
from .variants import Variant, variants_of
from .verdicts import disagreements, judge

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
    on: Literal["local", "slurm"] = "local",
    slurm: Sequence[str] = (),
    jobs: int | None = None,
    plan: bool = False,
    name: str | None = None,
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
) -> CompareResult | PlanResult:
    """Compare recipes and finished runs, into ``runs/<name>/``: data and a page.

    ``swaps`` are like ``backbone.upsampler=bilinear,nearest``. ``seeds``: trainings of each; none:
    3, or 1 where all are finished runs. ``budget`` is ``steps=N`` or ``minutes=N``. ``effect`` is
    the difference that is worth seeing; none: a tenth of the first's score. ``on``: where trials
    run, ``slurm`` with options of sbatch like ``partition=gpu``; ``jobs``: how many at a time.
    ``plan``: train nothing, return ``{"commands": […]}``. InputError for what cannot be compared.
    """
    if here().size > 1:  # a trial that fails would leave the other ranks within it
        raise InputError("compare: works in one process; --jobs runs trials side by side")
    place = Place.parse(on, slurm, jobs)
    session = Session(Registry.load(plugins), open_store(store), choose_device(device))
    limit = Budget.parse(budget) if budget is not None else None
    setting = Setting(session, tuple(plugins), device, metrics, seeds, num_steps, effect, limit)
    variants = variants_of(sources, swaps, overrides, session.registry, session.device)
    refuse_ineffective(swaps, variants, num_steps, session.registry)
    folder = _folder(fit(_name(variants, swaps)) if name is None else name)
    command = _command(sources, swaps, overrides, budget, name, store, setting)
    subjects = [subject_of(variant, setting) for variant in variants]
    refuse_unlike(subjects, setting)
    subjects, notes = alike(subjects, setting)
    subjects = with_budget(subjects, setting)
    trials = trials_of([s.variant for s in subjects], _seeds(setting, variants), session.registry)
    if plan:
        return {"commands": plan_trials(trials, setting), "then": command}
    if failures := _run(trials, setting, place, folder):
        raise Failed("\n".join([*failures, "Nothing else is lost: the other trials are kept."]))
    return _write(folder, command, subjects, trials, notes, setting)


def _run(trials: Sequence[Trial], setting: Setting, place: Place, folder: Path) -> list[str]:
    """Run what is not finished, wherever that is to be. Returns what failed."""
    if place.slurm is None:
        return run_here(trials, setting, place.jobs or 1, folder / "logs")
    from .slurm import run_on_slurm  # needs submitit, which only some install

    return run_on_slurm(trials, setting, place, folder)


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
    bases = dict.fromkeys(v.base for v in variants)
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
    """How many trainings there are of each; that a run's recipe is trained too is told."""
    if setting.seeds:
        return setting.seeds
    finished = [variant.name for variant in variants if variant.finished]
    if len(finished) == len(variants):
        return 1
    if finished:
        note(
            f"{', '.join(finished)}: trained with {SEEDS - 1} more seeds, as recipes are; "
            "--seeds 1 takes finished runs as they are"
        )
    return SEEDS


def _write(
    folder: Path,
    command: str,
    subjects: Sequence[Subject],
    trials: Sequence[Trial],
    notes: Sequence[str],
    setting: Setting,
) -> CompareResult:
    """``compare.json``, the pictures and the page of all finished trials."""
    scored = _score_all(subjects, trials, setting)
    record = _record(folder.name, command, subjects, trials, scored, setting)
    record["notes"] = [*notes, *record["notes"]]
    pictures = {name: trials[0].pictures(SHOWN).numpy() for name, trials in scored.items()}
    evaluate = subjects[0].variant.loaded.data["evaluate"]
    real = real_images(read_images(subjects[0].images), evaluate, SHOWN)
    make_folder(folder)
    for name, pixels in ((PICTURES, [*pictures.values()]), (REAL_PICTURES, [real])):
        with replacing(folder / name) as partial, partial.open("wb") as file:
            np.save(file, np.stack(pixels))
    write_json(folder / COMPARISON, dict(record))
    # The same for those who call it and those who read the file.
    written = cast("ComparisonRecord", read_json(folder / COMPARISON))
    page = write_comparison_page(folder, written, pictures, real)
    return {**written, "folder": str(folder), "page": str(page)}


def _score_all(
    subjects: Sequence[Subject], trials: Sequence[Trial], setting: Setting
) -> dict[str, list[ScoredTrial]]:
    """The trials by variant, in the order of seeds, each drawn from the first variant's noise."""
    scored: dict[str, list[ScoredTrial]] = {subject.variant.name: [] for subject in subjects}
    for number, trial in enumerate(trials):
        subject = subjects[number % len(subjects)]
        noise = trials[number - number % len(subjects)].seed  # the first variant's
        scored[trial.variant].append(score_trial(trial, noise, subject, setting))
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
    ends = trial_anchors(trials[0], subjects[0], setting)
    timed = setting.budget is not None and setting.budget.unit == "minutes"
    steps = {variant: trials[0].steps for variant, trials in scored.items()}
    return {
        "name": name,
        "command": command,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(setting.session.device),
        "versions": versions(),
        **_training_time(scored),
        "seeds": [trials[i].seed for i in range(0, len(trials), len(subjects))],
        "budget": str(setting.budget) if setting.budget else None,
        "notes": [*cautions(subjects, steps, timed=timed), *disagreements(pairs)],
        "metrics": {
            name: _metric_record(name, metric, scored, ends.get(name, {}))
            for name, metric in metrics.items()
        },
        "variants": [
            _variant_record(subject, scored[subject.variant.name], cost)
            for subject, cost in zip(subjects, measure_costs(subjects, setting), strict=True)
        ],
        "pairs": pairs,
    }


def _training_time(scored: Mapping[str, Sequence[ScoredTrial]]) -> TimeRecord:
    """How long the trials were trained, those that share a training together."""
    trained = {one.model: one.seconds for trials in scored.values() for one in trials}
    return {"seconds": sum(trained.values()), "trainings": len(trained)}


def _metric_record(
    name: str,
    metric: Metric,
    scored: Mapping[str, Sequence[ScoredTrial]],
    ends: AnchorRecord,
) -> MetricRecord:
    pairs = math.comb(len(scored), 2)
    return {
        **direction(metric),
        "protocol": shared_protocol([t for trials in scored.values() for t in trials], name),
        "anchors": ends,
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
