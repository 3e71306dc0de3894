"""Whether scores of variants say the same thing: same real images, same protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from ..errors import InputError
from ..format import metric_name
from ..plugin.contracts import Features, LrSchedule, Metric
from ..plugin.registry import Registry
from ..recipe.show import spec_differences
from ..recipe.yaml12 import flow
from ..records import Plain
from .setting import Setting
from .subjects import Subject

DATA = ("dataset", "split", "preprocess")
"""Keys of a recipe that say which real images there are."""

NEARLY = 0.02
"""The share of the steps by which a learning rate's way may be longer or shorter unsaid: half a
cosine has 0.1 % of its height left there."""


def refuse_unlike(subjects: Sequence[Subject], setting: Setting) -> None:
    """Raise InputError with each pair of variants that cannot be compared, and what differs."""
    facts = [(subject, subject.facts(setting)) for subject in subjects]
    lines = [
        f"{a.variant.name} and {b.variant.name}: not comparable, because {'; '.join(why)}"
        for (a, first), (b, second) in combinations(facts, 2)
        if (why := _unlike(a, b, first, second) + _no_metric([a, b], setting))
    ]
    if not lines and not shared_metrics(subjects, setting):
        lines = ["no metric is there that all have: name one with --metric"]
    if lines:
        raise InputError("\n".join([*lines, "make them equal with --set, or compare them apart"]))


def shared_metrics(subjects: Sequence[Subject], setting: Setting) -> list[str]:
    """The metrics, as the first names them, that all have with the same features."""
    first, *others = (_metrics_by_name(subject, setting) for subject in subjects)
    return [name for name, one in first.items() if all(one in other.values() for other in others)]


def alike(subjects: Sequence[Subject], setting: Setting) -> tuple[list[Subject], list[str]]:
    """The variants with the metrics that all have, on as many images, and notes that say so.

    The first images of each model are the same however many there are.
    """
    shared, notes = shared_metrics(subjects, setting), []
    own = {s.variant.name: _metrics_by_name(s, setting) for s in subjects}
    kept = [own[subjects[0].variant.name][name] for name in shared]
    left = {
        variant: [metric_name(name) for name, one in metrics.items() if one not in kept]
        for variant, metrics in own.items()
    }
    if any(left.values()):
        more = [f"{variant} has {', '.join(names)} too" for variant, names in left.items() if names]
        all_have = ", ".join(map(metric_name, shared))
        notes.append(f"compared by {all_have}, which all have: {'; '.join(more)}.")
    counts = {subject.variant.name: subject.num_images for subject in subjects}
    fewest = min(counts.values())
    if len(set(counts.values())) > 1:
        each = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        notes.append(
            f"scored on {fewest:,} images of each, drawn of the models as they are: "
            f"the recipes say {each}."
        )
    metrics = {name: subjects[0].metrics[name] for name in shared}
    return [replace(s, metrics=metrics, num_images=fewest) for s in subjects], notes


def _metrics_by_name(subject: Subject, setting: Setting) -> dict[str, Plain]:
    """What has to be equal of each metric for its values to compare."""
    session = setting.session
    return {
        name: {**_spec(metric, session.registry), "extractor": session.extractor(features).id}
        for name, (metric, features) in subject.metrics.items()
    }


def _spec(metric: Metric, registry: Registry) -> Plain:
    """A metric without its features, which the extractor's id stands for."""
    return {k: v for k, v in registry.spec(metric).items() if k != "features"}


def _no_metric(pair: Sequence[Subject], setting: Setting) -> list[str]:
    """Why two variants have no metric that both have; nothing where there is one."""
    if shared_metrics(pair, setting):
        return []
    one, other = (
        ", ".join(_metric_words(m, f, setting) for m, f in subject.metrics.values())
        for subject in pair
    )
    return [f"metrics {one} and {other}"]


def _metric_words(metric: Metric, features: Features, setting: Setting) -> str:
    brief = flow(setting.session.registry.brief(metric))
    return f"{brief} with features {setting.session.extractor(features).id}"


def _unlike(a: Subject, b: Subject, first: Plain, second: Plain) -> list[str]:
    why = [f"{key} {first[key]} and {second[key]}" for key in first if first[key] != second[key]]
    if a.images.content != b.images.content and first["resolution"] == second["resolution"]:
        one, other = ({k: s.variant.loaded.data[k] for k in DATA} for s in (a, b))
        changes = "; ".join(spec_differences(one, other)) or "the files differ"
        why.append(f"other real images ({changes})")
    return why


def cautions(subjects: Sequence[Subject], steps: Mapping[str, int], timed: bool) -> list[str]:
    """What differs beside what is compared, and may explain a difference.

    ``steps`` are those of training, by variant; ``timed``: they fit into the same time.
    """
    notes = []
    if len(set(steps.values())) > 1:
        each = ", ".join(f"{name} {count:,}" for name, count in steps.items())
        what = "of the same time" if timed else "--budget steps=N gives all the same"
        notes.append(f"not the same training: {each} steps ({what}).")
    sizes = {s.variant.name: s.variant.loaded.recipe.train.images_per_step for s in subjects}
    if len(set(sizes.values())) > 1:
        each = ", ".join(f"{name} {count}" for name, count in sizes.items())
        notes.append(f"not the same batches: {each} images a step.")
    kinds = {s.variant.name: s.variant.loaded.recipe.train.precision for s in subjects}
    if len(set(kinds.values())) > 1:
        each = ", ".join(f"{name} {precision}" for name, precision in kinds.items())
        notes.append(f"not the same precision of training: {each}.")
    starts = {s.variant.name: s.variant.loaded.recipe.train.init for s in subjects}
    swapped = any("train.init" in s.variant.swapped for s in subjects)
    if len(set(starts.values())) > 1 and not swapped:
        each = ", ".join(f"{name} {init or 'new'}" for name, init in starts.items())
        notes.append(f"trainings do not begin with the same weights: {each}.")
    return [*notes, *_of_rates(subjects, steps)]


def _of_rates(subjects: Sequence[Subject], steps: Mapping[str, int]) -> list[str]:
    """What to say of learning rates whose way is longer or shorter than the training."""
    said: dict[str, list[str]] = {}
    for subject in subjects:
        name = subject.variant.name
        if what := _of_rate(subject.variant.loaded.recipe.train.lr_schedule, steps[name]):
            said.setdefault(what, []).append(name)
    return [f"{', '.join(names)}: {what}" for what, names in said.items()]


def _of_rate(schedule: LrSchedule, steps: int) -> str | None:
    total = getattr(schedule, "total_steps", None)  # None: as long as the training
    if not isinstance(total, int) or abs(total - steps) <= NEARLY * steps:
        return None
    share = schedule(steps - 1)
    what = (
        f"training ends at {share:.0%} of the learning rate"
        if total > steps
        else f"the last {steps - total:,} steps are trained at {share:.0%} of the learning rate"
    )
    return (
        f"{what}: it has {steps:,} steps, and train.lr_schedule is of {total:,}; "
        f"train.lr_schedule.total_steps={steps} makes them equal, which is another training."
    )
