"""A variant with its real images and what it is scored by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..artifacts.prepare import prepare, read_images
from ..plugin.contracts import Features, Metric
from ..progress import note
from ..recipe.build import build_stage
from ..recipe.load import spec_of
from ..records import Plain
from ..runs.finished import open_run
from ..runs.metrics import with_features
from ..runs.probe import probe
from ..runs.requests import scored_request, scored_split
from ..store.store import Artifact
from ..training.batches import training_batches
from .cost import measure_cost
from .setting import Setting
from .variants import Variant


@dataclass(frozen=True)
class Subject:
    """What is compared: a variant, the images that it is scored against, and its metrics."""

    variant: Variant
    images: Artifact
    metrics: Mapping[str, tuple[Metric, Features]]

    def facts(self, setting: Setting) -> Plain:
        """What has to be equal, by the words that an error says it with."""
        registry, recipe = setting.session.registry, self.variant.loaded.recipe
        images = read_images(self.images)
        request = scored_request(recipe, images)
        extractors = {setting.session.extractor(f).id for _, f in self.metrics.values()}
        facts = {
            "resolution": "×".join(map(str, images.shape[1:])),
            "split": scored_split(recipe),
            "number of scored images": request.num_images,
            "metrics": [registry.spec(metric) for metric, _ in self.metrics.values()],
            "extractors": sorted(extractors),
        }
        if setting.num_steps is None and not any("num_steps" in k for k in self.variant.swapped):
            facts["sampling steps"] = request.num_steps
        return facts


def subject_of(variant: Variant, setting: Setting) -> Subject:
    """A variant with its real images, which a finished run has already, and its metrics."""
    session, recipe = setting.session, variant.loaded.recipe
    if variant.finished and variant.run:
        run = open_run(variant.run, store=session.store.root)
        images = run.artifact("images")
    else:
        probe(recipe)
        if setting.num_steps and recipe.evaluate:
            steps = [f"evaluate.num_steps={setting.num_steps}"]
            variant = variant.changed(steps, session.registry)
        images = prepare(recipe, session)
    return Subject(variant, images, _metrics(variant, setting))


def _metrics(variant: Variant, setting: Setting) -> dict[str, tuple[Metric, Features]]:
    """Those that were asked for, those of the recipe, or KID."""
    registry, recipe = setting.session.registry, variant.loaded.recipe
    metrics = [
        build_stage(registry, "metric", spec_of(text, "--metric"), "--metric")
        for text in setting.metrics
    ]
    if not metrics and recipe.evaluate:
        metrics = list(recipe.evaluate.metrics)
    elif not metrics:
        metrics = [build_stage(registry, "metric", "kid")]
    return with_features(metrics, None, recipe, registry)


def with_budget(subject: Subject, setting: Setting) -> Subject:
    """With as much training as the budget gives."""
    if setting.budget is None:
        return subject
    variant, amount = subject.variant, setting.budget.amount
    if setting.budget.unit == "minutes":
        seconds = measure_cost(variant, subject.images, setting)["seconds_a_step"]
        amount = max(1, amount * 60 / seconds)
        note(f"{variant.name}: {int(amount):,} steps fit into the budget")
    steps, settings = int(amount), variant.loaded.recipe.train
    train = read_images(subject.images).indices("train")
    per_epoch = training_batches(train, variant.loaded.recipe.seed, settings).per_epoch
    more = [f"train.max_steps={steps}"]
    if settings.epochs * per_epoch < steps:
        more.append(f"train.epochs={math.ceil(steps / per_epoch)}")
    return replace(subject, variant=variant.changed(more, setting.session.registry))
