"""Whether scores of variants say the same thing: same real images, same protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from ..errors import InputError
from ..recipe.show import spec_differences
from ..records import Plain
from .setting import Setting
from .subjects import Subject

DATA = ("dataset", "split", "preprocess")
"""Keys of a recipe that say which real images there are."""


def refuse_unlike(subjects: Sequence[Subject], setting: Setting) -> None:
    """Raise InputError with each pair of variants that cannot be compared, and what differs."""
    facts = [(subject, subject.facts(setting)) for subject in subjects]
    lines = [
        f"{a.variant.name} and {b.variant.name}: not comparable, because {'; '.join(why)}"
        for (a, first), (b, second) in combinations(facts, 2)
        if (why := _unlike(a, b, first, second))
    ]
    if lines:
        raise InputError("\n".join([*lines, "make them equal with --set, or compare them apart"]))


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
    sizes = {s.variant.name: s.variant.loaded.recipe.train.batch_size for s in subjects}
    if len(set(sizes.values())) > 1:
        each = ", ".join(f"{name} {count}" for name, count in sizes.items())
        notes.append(f"not the same batches: {each} images a step.")
    for subject in subjects:
        name, rate = subject.variant.name, subject.variant.loaded.recipe.train.lr_schedule
        last, later = rate(steps[name] - 1), rate(10 * steps[name])
        if later < last / 2:
            notes.append(
                f"{name} ends at {last:.0%} of its learning rate: train.lr_schedule is of a longer "
                "training; set its total_steps to the steps of this one."
            )
    return notes
