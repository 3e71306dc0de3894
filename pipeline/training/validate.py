"""Validation: losses on validation images, scores of generated ones, and grids of samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..diffusion.generate import SampleRequest, generate
from ..diffusion.grid import save_grid
from ..diffusion.images import Images
from ..diffusion.labels import captions, chosen_labels, split_labels
from ..diffusion.lettering import drawable
from ..diffusion.measure import extract, score_features, score_record
from ..diffusion.model import Model
from ..diffusion.precision import computing
from ..diffusion.rows import kept_rows
from ..plugin.contracts import Extractor, Features, Metric
from ..plugin.draws import Draws
from ..plugin.registry import Registry
from ..plugin.rows import Rows
from ..plugin.values import Rates
from ..progress import progress, track
from ..ranks import World
from ..recipe.schema import Recipe
from ..records import HistoryRecord, ScoreRecord
from .batches import Batches, in_parts


@dataclass(frozen=True)
class Measure:
    """A metric with what it compares to."""

    name: str
    metric: Metric
    extractor: Extractor
    real: Rows
    """Features of the real images (N, D)."""
    features: Features
    """What the extractor is made by: other ranks make their own."""


def validation_scores(
    model: Model,
    recipe: Recipe,
    registry: Registry,
    images: Images,
    measures: Sequence[Measure],
    folder: Path,
    world: World,
) -> dict[str, ScoreRecord]:
    """Each measure's score of samples drawn for validation; on ranks other than 0 none.

    Features that are many are on the disk of ``folder`` until they are scored.
    """
    if not measures:
        return {}
    request = _scored_request(model, recipe, images)
    extractors = {measure.extractor.id: measure.extractor for measure in measures}
    own = generate(model, request, world.dealt(range(request.num_images), request.batch_size))
    blocks = (_features(extractors, samples.to(model.device)) for samples in own)
    total = -(-request.num_images // request.batch_size)
    scores = {}
    with ExitStack() as kept:
        features = {
            name: kept.enter_context(kept_rows(one.dim, folder)) for name, one in extractors.items()
        }
        for block in track(world.in_order(blocks, total), "validate: sampling", total):
            for name, rows in block.items():
                features[name].add(rows)
        for measure in measures if world.leads else ():
            name = measure.extractor.id
            protocol = {
                "extractor": name,
                **request.protocol(registry),
                "split": "validation",
                "resolution": list(model.image_shape[1:]),
            }
            score = score_features(measure.real, features[name], measure.metric, protocol)
            scores[measure.name] = score_record(score)
    return scores


def _features(extractors: Mapping[str, Extractor], samples: Tensor) -> dict[str, Tensor]:
    """The features of a batch by the id of the extractor."""
    return {name: torch.cat([*extract(one, [samples])]) for name, one in extractors.items()}


def _scored_request(model: Model, recipe: Recipe, images: Images) -> SampleRequest:
    settings = recipe.train.validate
    return SampleRequest(
        sampler=settings.sampler,
        num_steps=settings.num_steps,
        spacing=settings.spacing,
        labels=split_labels(images, "validation", recipe.seed) if model.class_names else None,
        guidance=settings.guidance,
        guidance_scale=settings.guidance_scale,
        num_images=settings.num_images or len(images.indices("validation")),
        seed=recipe.seed,
        purpose="validate",
        batch_size=recipe.sample.batch_size,
        precision=recipe.train.precision,
    )


@torch.inference_mode()
def validation_losses(
    model: Model, recipe: Recipe, images: Images, world: World
) -> dict[str, float]:
    """Mean losses over ``train.repeats`` passes of the validation images; on rank 0 alone.

    Where ``train.validate.max_batches`` is given, over the first of their batches.

    The incomplete batch is dropped; fewer images than one batch make one smaller batch. Times and
    noise are the same every time.
    """
    indices = images.indices("validation")
    settings = recipe.train
    size = min(settings.images_per_step, len(indices) * settings.repeats)
    # Not the run's seed: runs of other seeds are validated on the very same images.
    batches = Batches(indices, recipe.split.seed, size, settings.repeats)
    network = replace(model, precision=settings.precision).lowered
    found: list[Tensor] = []
    names: list[str] = []
    steps = min(batches.per_epoch, settings.validate.max_batches or batches.per_epoch)
    parts = [
        (step, rows, part)
        for step in range(steps)
        for rows, part in in_parts(batches[step], settings.batch_size)
    ]
    own = world.dealt(parts, 1)
    with progress("validate: losses", len(own)) as bar:
        for step, rows, part in own:
            x0 = model.encode(images.batch(part))
            draws = Draws(recipe.seed, "validate", rows, step=step + 1)
            label = model.labels_of(images, part)
            with computing(settings.precision):
                losses = model.objective.loss(network, x0, label, model.schedule, draws)
            names = list(losses)
            found.append(torch.stack(list(losses.values())) * (len(part) / size))
            bar.step()
    # Read once, at the end: to read each batch's would make a GPU wait for it.
    everything = world.gathered(list(torch.stack(found).cpu()) if found else [])
    if not world.leads:
        return {}
    sums = torch.stack(everything).double().sum(0) / steps
    return dict(zip(names, sums.tolist(), strict=True))


class _Zeros(torch.nn.Module):
    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        return torch.zeros_like(x)


def loss_of_zeros(model: Model, recipe: Recipe, images: Images, world: World) -> float:
    """The validation loss of a network that gives zeros: one no better has learned nothing.

    sqrt(2 / pi) = 0.798 where noise is predicted with the mean absolute error, 1 with the squared.
    """
    return validation_losses(model.of(_Zeros()), recipe, images, world).get("loss", math.nan)


def save_samples_grid(model: Model, recipe: Recipe, path: Path, world: World) -> None:
    """A PNG grid from the same noise every time; of the first classes, where there are any.

    All ranks draw, rank 0 writes.
    """
    settings = recipe.train.validate
    columns, rows = settings.grid
    names = model.class_names
    request = SampleRequest(
        sampler=settings.sampler,
        num_steps=settings.grid_num_steps,
        spacing=settings.spacing,
        labels=chosen_labels(None, names) if names else None,
        guidance=settings.guidance,
        guidance_scale=settings.guidance_scale,
        num_images=columns * rows,
        seed=recipe.seed,
        batch_size=recipe.sample.batch_size,
        precision=recipe.train.precision,
    )
    numbers = range(request.num_images)
    texts = None
    if request.labels and names:
        texts = captions(request.labels, numbers, drawable(names), request.guidance_scale)
    own = generate(model, request, world.dealt(numbers, request.batch_size))
    samples = world.gathered(list(own))
    if world.leads:
        save_grid(torch.cat(samples), (columns, rows), path, texts)


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
