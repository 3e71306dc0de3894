"""A variant with its real images and what it is scored by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..artifacts.prepare import prepare, read_images
from ..format import image_size
from ..plugin.contracts import Features, Metric
from ..recipe.build import build_stage
from ..recipe.load import spec_of
from ..records import Plain
from ..runs.finished import finished_run
from ..runs.init import init_of
from ..runs.metrics import with_features
from ..runs.probe import probe
from ..runs.requests import scored_request, scored_split
from ..store.store import Artifact
from .setting import Setting
from .variants import Variant


@dataclass(frozen=True)
class Subject:
    """What is compared: a variant, the images that it is scored against, and its metrics."""

    variant: Variant
    images: Artifact
    metrics: Mapping[str, tuple[Metric, Features]]
    num_images: int
    """How many generated images are scored."""

    def facts(self, setting: Setting) -> Plain:
        """What has to be equal, by the words that an error says it with."""
        recipe, images = self.variant.loaded.recipe, read_images(self.images)
        request = scored_request(recipe, images)
        facts: Plain = {"resolution": image_size(images.shape), "split": scored_split(recipe)}
        if setting.num_steps is None and not any("num_steps" in k for k in self.variant.swapped):
            facts["sampling steps"] = request.num_steps
        if not self.variant.swapped & {"evaluate.precision", "sample.precision"}:
            facts["precision of sampling"] = request.precision
        return facts


def subject_of(variant: Variant, setting: Setting) -> Subject:
    """A variant with its real images, which a finished run has already, and its metrics."""
    session, recipe = setting.session, variant.loaded.recipe
    if variant.finished and variant.run:
        run = finished_run(variant.run, store=session.store.root)
        # An exported run may be without them; the dataset has to be there then.
        has = "images" in run.record["artifacts"]
        images = run.artifact("images") if has else prepare(recipe, session)
    else:
        probe(recipe, init_of(recipe, session.registry, session.store.root))
        if setting.num_steps and recipe.evaluate:
            steps = [f"evaluate.num_steps={setting.num_steps}"]
            variant = variant.changed(steps, session.registry)
        images = prepare(recipe, session)
    count = scored_request(recipe, read_images(images)).num_images
    return Subject(variant, images, _metrics(variant, setting), count)


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
