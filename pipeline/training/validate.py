"""Validation: losses on validation images, scores of generated ones, and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..diffusion.generate import conditioning, generate
from ..diffusion.grid import save_grid
from ..diffusion.images import Images
from ..diffusion.labels import captions, chosen_labels, split_labels
from ..diffusion.measure import extract, score_features
from ..diffusion.model import Model
from ..plugin.contracts import Extractor, Metric, Rates
from ..plugin.draws import Draws
from ..plugin.registry import Registry
from ..progress import progress, track
from ..recipe.schema import Recipe
from .batches import Batches


@dataclass(frozen=True)
class Measure:
    """A metric with what it compares to."""

    name: str
    metric: Metric
    extractor: Extractor
    real: Tensor
    """Features of the real images (N, D)."""


def validate(
    model: Model, recipe: Recipe, registry: Registry, images: Images, measures: Sequence[Measure]
) -> dict[str, Any]:
    """One record: ``validation_…`` losses and each metric's value, standard error and protocol."""
    record: dict[str, Any] = {
        f"validation_{name}": value for name, value in losses(model, recipe, images).items()
    }
    if not measures:
        return record
    settings = recipe.train.validate
    count = settings.num_images or len(images.indices("validation"))
    size = recipe.sample.batch_size
    drawn = split_labels(images, "validation", recipe.seed) if model.class_names else None
    batches = generate(
        model,
        settings.sampler,
        settings.num_steps,
        range(count),
        spacing=settings.spacing,
        labels=drawn,
        guidance_scale=settings.guidance_scale,
        seed=recipe.seed,
        purpose="validate",
        batch_size=size,
    )
    made = list(track(batches, "validate: sampling", -(-count // size)))
    found: dict[str, Tensor] = {}
    record["protocol"] = {}
    for measure in measures:
        if measure.extractor.id not in found:
            moved = (batch.to(model.device) for batch in made)
            found[measure.extractor.id] = extract(measure.extractor, moved)
        protocol = {
            "extractor": measure.extractor.id,
            "sampler": registry.spec(settings.sampler),
            "num_steps": settings.num_steps,
            "spacing": settings.spacing,
            **conditioning(drawn, settings.guidance_scale),
            "split": "validation",
            "resolution": list(model.shape[1:]),
        }
        result = score_features(measure.real, found[measure.extractor.id], measure.metric, protocol)
        record[measure.name] = result.value
        if result.standard_error is not None:
            record[f"{measure.name}_standard_error"] = result.standard_error
        record |= {f"{measure.name}_{part}": value for part, value in result.parts.items()}
        record["protocol"][measure.name] = dict(result.protocol)
    return record


@torch.inference_mode()
def losses(model: Model, recipe: Recipe, images: Images) -> dict[str, float]:
    """Means over ``train.repeats`` passes of the validation images, the incomplete batch dropped.

    Fewer images than one batch make one smaller batch. Times and noise are the same every time.
    """
    indices = images.indices("validation")
    size = min(recipe.train.batch_size, len(indices) * recipe.train.repeats)
    # Not the run's seed: runs of other seeds are validated on the very same images.
    batches = Batches(indices, recipe.split.seed, size, recipe.train.repeats)
    sums: dict[str, float] = {}
    with progress("validate: losses", batches.per_epoch) as bar:
        for step in range(batches.per_epoch):
            x0 = model.encode(images.batch(batches[step]))
            draws = Draws(recipe.seed, "validate", range(size), step=step + 1)
            label = model.labels_of(images, batches[step])
            found = model.objective.loss(model.network, x0, label, model.schedule, draws)
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + value.item()
            bar.step()
    return {name: value / batches.per_epoch for name, value in sums.items()}


class _Zeros(torch.nn.Module):
    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        return torch.zeros_like(x)


def loss_of_zeros(model: Model, recipe: Recipe, images: Images) -> float:
    """The validation loss of a network that gives zeros: who is no better has learned nothing.

    sqrt(2 / pi) = 0.798 where noise is predicted with the mean absolute error, 1 with the squared.
    """
    return losses(model.of(_Zeros()), recipe, images)["loss"]


def save_pictures(model: Model, recipe: Recipe, path: Path) -> None:
    """A PNG grid from the same noise every time; of the first classes, where there are any."""
    settings = recipe.train.validate
    columns, rows = settings.grid
    names = model.class_names
    labels = chosen_labels(None, names) if names else None
    batches = generate(
        model,
        settings.sampler,
        settings.grid_num_steps,
        range(columns * rows),
        spacing=settings.spacing,
        labels=labels,
        guidance_scale=settings.guidance_scale,
        seed=recipe.seed,
        purpose="sample",
        batch_size=recipe.sample.batch_size,
    )
    below = None
    if labels and names:
        below = captions(labels, range(columns * rows), names, settings.guidance_scale)
    save_grid(torch.cat(list(batches)), (columns, rows), path, below)


def is_better(
    record: Mapping[str, Any], best: Mapping[str, Any] | None, measures: Sequence[Measure]
) -> bool:
    """Whether a record beats the best so far: by the first metric, or by the validation loss."""
    if best is None:
        return True
    name = measures[0].name if measures else "validation_loss"
    sign = -1 if measures and getattr(measures[0].metric, "higher_is_better", False) else 1
    return bool(sign * record[name] < sign * best[name])
