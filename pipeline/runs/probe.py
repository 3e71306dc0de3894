"""What only the data's shape can tell, found out before any heavy work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..artifacts.prepare import prepared, split_indices
from ..diffusion.labels import chosen_labels
from ..errors import InputError
from ..plugin.contracts import Rates, Source
from ..recipe.schema import Recipe
from ..training.batches import Batches

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Probe:
    """What a recipe comes to."""

    num_images: int
    num_train: int
    shape: tuple[int, int, int]
    """(C, H, W) of the images that the network sees."""
    num_parameters: int
    steps_per_epoch: int
    steps: int


def probe(recipe: Recipe) -> Probe:
    """List the dataset, preprocess its first image, run the backbone on torch's meta device.

    Raises InputError for sizes that the network cannot take.
    """
    source = recipe.dataset()
    if not len(source):
        raise InputError("the dataset is empty")
    validation = split_indices(source.parts, recipe.split)
    first = prepared(source, 0, recipe.preprocess).shape
    shape = (first[0], first[1], first[2])
    num_classes = _num_classes(recipe, source)
    with torch.device("meta"), torch.no_grad():
        network = recipe.backbone(shape, num_classes).eval()
        x = torch.empty(1, *shape)
        label = torch.zeros(1, dtype=torch.int64) if num_classes else None
        for rates in _ends(recipe):
            seen = recipe.objective.predict(network, x, rates, label).x0.shape
    if seen != x.shape:
        raise InputError(f"backbone: images {tuple(x.shape)} come out as {tuple(seen)}")
    if recipe.train.validate.metrics and validation.sum() < 2:
        raise InputError(
            f"{len(source)} images: metrics need 2 validation images, split.validation "
            f"{recipe.split.validation} leaves {validation.sum()}; raise it or add images"
        )
    _rehearse(recipe, validation)
    train = (~validation).nonzero()[0]
    settings = recipe.train
    per_epoch = Batches(train, recipe.seed, settings.batch_size, settings.repeats).per_epoch
    steps = settings.epochs * per_epoch
    return Probe(
        num_images=len(source),
        num_train=len(train),
        shape=shape,
        num_parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        steps_per_epoch=per_epoch,
        steps=min(steps, settings.max_steps or steps),
    )


def _num_classes(recipe: Recipe, source: Source) -> int | None:
    """None without ``condition``. InputError for a dataset without classes, and unknown ones."""
    if recipe.train.condition is None:
        return None
    names = source.class_names
    if not names or all(label is None for label in source.labels):
        raise InputError(
            "train.condition class: the dataset has no classes; leave it out, or use a dataset "
            "with classes (image_folder takes those of its sub-folders)"
        )
    try:
        chosen_labels(recipe.sample.classes, names)
    except InputError as error:
        raise InputError(f"sample.classes: {error}") from error
    return len(names)


def _ends(recipe: Recipe) -> list[Rates[float]]:
    """The schedule's rates where sampling starts, and at t = 0."""
    rates = recipe.schedule(torch.tensor([1.0, 0.0], dtype=torch.float64, device="cpu"))
    return [Rates(a, b) for a, b in zip(rates.signal.tolist(), rates.noise.tolist(), strict=True)]


def _rehearse(recipe: Recipe, validation: Mask) -> None:
    """Have metrics score as many features, all noise: too few images are told before training."""
    real = {"validation": int(validation.sum()), "train": int((~validation).sum())}
    watched, scored = recipe.train.validate, recipe.evaluate
    here = "train.validate.metrics"
    sides = [(here, m, real["validation"], watched.num_images) for m in watched.metrics]
    if scored:
        here = "evaluate.metrics"
        sides += [(here, m, real[scored.split], scored.num_images) for m in scored.metrics]
    noise = torch.Generator().manual_seed(0)
    for place, metric, many, drawn in sides:
        try:
            metric(*(torch.randn(n, 4, generator=noise) for n in (many, drawn or many)))
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
