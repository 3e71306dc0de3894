"""Validation: losses on validation images, scores of generated ones, and grids of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..diffusion.generate import SampleRequest, generate
from ..diffusion.grid import save_grid
from ..diffusion.images import Images
from ..diffusion.labels import captions, chosen_labels, split_labels
from ..diffusion.measure import extract, score_features, score_record
from ..diffusion.model import Model
from ..plugin.contracts import Extractor, Metric
from ..plugin.draws import Draws
from ..plugin.registry import Registry
from ..plugin.values import Rates
from ..progress import progress, track
from ..recipe.schema import Recipe
from ..records import HistoryRecord, ScoreRecord
from .batches import Batches


@dataclass(frozen=True)
class Measure:
    """A metric with what it compares to."""

    name: str
    metric: Metric
    extractor: Extractor
    real: Tensor
    """Features of the real images (N, D)."""


def validation_scores(
    model: Model, recipe: Recipe, registry: Registry, images: Images, measures: Sequence[Measure]
) -> dict[str, ScoreRecord]:
    """Each measure's score of samples drawn for validation."""
    if not measures:
        return {}
    request = _scored_request(model, recipe, images)
    batches = generate(model, request, range(request.num_images))
    total = -(-request.num_images // request.batch_size)
    samples = list(track(batches, "validate: sampling", total))
    features: dict[str, Tensor] = {}
    scores = {}
    for measure in measures:
        extractor = measure.extractor
        if extractor.id not in features:
            features[extractor.id] = extract(extractor, (b.to(model.device) for b in samples))
        protocol = {
            "extractor": extractor.id,
            **request.protocol(registry),
            "split": "validation",
            "resolution": list(model.shape[1:]),
        }
        score = score_features(measure.real, features[extractor.id], measure.metric, protocol)
        scores[measure.name] = score_record(score)
    return scores


def _scored_request(model: Model, recipe: Recipe, images: Images) -> SampleRequest:
    settings = recipe.train.validate
    return SampleRequest(
        sampler=settings.sampler,
        num_steps=settings.num_steps,
        spacing=settings.spacing,
        labels=split_labels(images, "validation", recipe.seed) if model.class_names else None,
        guidance_scale=settings.guidance_scale,
        num_images=settings.num_images or len(images.indices("validation")),
        seed=recipe.seed,
        purpose="validate",
        batch_size=recipe.sample.batch_size,
    )


@torch.inference_mode()
def validation_losses(model: Model, recipe: Recipe, images: Images) -> dict[str, float]:
    """Mean losses over ``train.repeats`` passes of the validation images.

    The incomplete batch is dropped; fewer images than one batch make one smaller batch. Times and
    noise are the same every time.
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
            losses = model.objective.loss(model.network, x0, label, model.schedule, draws)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.item()
            bar.step()
    return {name: value / batches.per_epoch for name, value in sums.items()}


class _Zeros(torch.nn.Module):
    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        return torch.zeros_like(x)


def loss_of_zeros(model: Model, recipe: Recipe, images: Images) -> float:
    """The validation loss of a network that gives zeros: one no better has learned nothing.

    sqrt(2 / pi) = 0.798 where noise is predicted with the mean absolute error, 1 with the squared.
    """
    return validation_losses(model.of(_Zeros()), recipe, images)["loss"]


def save_samples_grid(model: Model, recipe: Recipe, path: Path) -> None:
    """A PNG grid from the same noise every time; of the first classes, where there are any."""
    settings = recipe.train.validate
    columns, rows = settings.grid
    names = model.class_names
    request = SampleRequest(
        sampler=settings.sampler,
        num_steps=settings.grid_num_steps,
        spacing=settings.spacing,
        labels=chosen_labels(None, names) if names else None,
        guidance_scale=settings.guidance_scale,
        num_images=columns * rows,
        seed=recipe.seed,
        batch_size=recipe.sample.batch_size,
    )
    numbers = range(request.num_images)
    texts = None
    if request.labels and names:
        texts = captions(request.labels, numbers, names, request.guidance_scale)
    samples = torch.cat(list(generate(model, request, numbers)))
    save_grid(samples, (columns, rows), path, texts)


def is_better(
    record: HistoryRecord, best: HistoryRecord | None, measures: Sequence[Measure]
) -> bool:
    """Whether a record beats the best so far: by the first metric, or by the validation loss."""
    if best is None:
        return True
    if not measures:
        return record.validation["loss"] < best.validation["loss"]
    first = measures[0]
    value, previous = (r.scores[first.name]["value"] for r in (record, best))
    return value > previous if first.metric.higher_is_better else value < previous


def names_of(losses: Mapping[str, object], measures: Sequence[Measure]) -> HistoryRecord:
    """A record with these names and no values: its ``flat`` refuses names that clash."""
    zeros = dict.fromkeys(losses, 0.0)
    scores = {measure.name: ScoreRecord(value=0.0, protocol={}) for measure in measures}
    return HistoryRecord(
        step=0,
        epoch=0.0,
        seconds=0.0,
        train=zeros,
        highest_loss=0.0,
        validation=zeros,
        raw=zeros,
        loss_of_zeros=0.0,
        scores=scores,
    )
