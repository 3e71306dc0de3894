"""Whether scores of variants say the same thing: same real images, same protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..artifacts.embed import Embedder
from ..artifacts.prepare import FILE
from ..diffusion.images import Images
from ..plugin.contracts import Features, Metric
from ..plugin.registry import Registry
from ..recipe.show import spec_differences
from ..runs.run import scored_of, split_of
from ..store.store import Artifact
from .variants import Variant

DATA = ("dataset", "split", "preprocess")
"""Keys of a recipe that say which real images there are."""


@dataclass(frozen=True)
class Subject:
    """A variant with its real images and what it is scored by."""

    variant: Variant
    images: Artifact
    metrics: Mapping[str, tuple[Metric, Features]]

    def facts(self, num_steps: int | None, embedder: Embedder) -> dict[str, Any]:
        """What has to be equal, by the words that an error says it with."""
        registry, recipe = embedder.registry, self.variant.loaded.recipe
        images = Images(self.images.path / FILE)
        order = scored_of(recipe, images)
        found = {
            "resolution": "×".join(map(str, images.shape[1:])),
            "split": split_of(recipe),
            "number of scored images": order.num_images,
            "metrics": [registry.spec(metric) for metric, _ in self.metrics.values()],
            "extractors": sorted({embedder.extractor(f).id for _, f in self.metrics.values()}),
        }
        if num_steps is None and not any("num_steps" in key for key in self.variant.swapped):
            found["sampling steps"] = order.num_steps
        return found


def not_comparable(
    subjects: Sequence[Subject], num_steps: int | None, embedder: Embedder
) -> list[dict[str, str]]:
    """The pairs of variants that cannot be compared, each with what differs."""
    facts = [subject.facts(num_steps, embedder) for subject in subjects]
    found = []
    for i, a in enumerate(subjects):
        for j, b in enumerate(subjects[i + 1 :], i + 1):
            if why := _differences(a, b, facts[i], facts[j], embedder.registry):
                names = {"first": a.variant.name, "second": b.variant.name}
                found.append({**names, "why": "; ".join(why)})
    return found


def _differences(
    a: Subject, b: Subject, one: Mapping[str, Any], other: Mapping[str, Any], registry: Registry
) -> list[str]:
    why = [f"{key} {one[key]} and {other[key]}" for key in one if one[key] != other[key]]
    if a.images.key != b.images.key and one["resolution"] == other["resolution"]:
        one, other = ({k: s.variant.loaded.data[k] for k in DATA} for s in (a, b))
        changes = "; ".join(spec_differences(one, other)) or "the files differ"
        why.append(f"other real images ({changes})")
    return why


def cautions(subjects: Sequence[Subject], steps: Mapping[str, int], timed: bool) -> list[str]:
    """What differs beside what is compared, and may explain a difference.

    ``steps`` of training by variant; ``timed``: they are those that fit into the same time.
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
