"""What only the data's shape can tell, tried out before any heavy work."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..artifacts.prepare import preprocessed, split_indices
from ..diffusion.labels import chosen_labels
from ..errors import InputError
from ..plugin.contracts import Metric
from ..plugin.data import Source
from ..plugin.values import Rates
from ..recipe.schema import Recipe
from ..training.batches import Batches
from .results import ProbeRecord

Mask = npt.NDArray[np.bool_]


def probe(recipe: Recipe) -> ProbeRecord:
    """List the dataset, preprocess its first image, run the backbone on torch's meta device.

    Raises InputError for sizes that the network cannot take, and for too few images.
    """
    source = recipe.dataset()
    if not len(source):
        raise InputError("the dataset is empty")
    validation = split_indices(source.parts, recipe.split)
    first = preprocessed(source.image(0), recipe.preprocess).shape
    shape = (first[0], first[1], first[2])
    network = _tried_network(recipe, shape, _num_classes(recipe, source))
    _try_metrics(recipe, validation)
    train = (~validation).nonzero()[0]
    settings = recipe.train
    per_epoch = Batches(train, recipe.seed, settings.batch_size, settings.repeats).per_epoch
    return ProbeRecord(
        num_images=len(source),
        num_train=len(train),
        shape=shape,
        num_parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        steps_per_epoch=per_epoch,
        steps=settings.steps(per_epoch),
    )


def _num_classes(recipe: Recipe, source: Source) -> int | None:
    """None without ``condition``. InputError for a dataset without classes, and unknown ones."""
    if recipe.train.condition is None:
        return None
    names = source.class_names
    if not names or all(label is None for label in source.labels):
        raise InputError(
            "train.condition class: the dataset has no classes; leave it out, or use a dataset "
            "with classes (`pipeline plugins` lists them; folders of images can have sub-folders)"
        )
    try:
        chosen_labels(recipe.sample.classes, names)
    except InputError as error:
        raise InputError(f"sample.classes: {error}") from error
    return len(names)


def _tried_network(
    recipe: Recipe, shape: tuple[int, int, int], num_classes: int | None
) -> nn.Module:
    """The network, without memory for its weights, after it took an image of this shape."""
    with torch.device("meta"), torch.no_grad():
        network = recipe.backbone(shape, num_classes).eval()
        x = torch.empty(1, *shape)
        label = torch.zeros(1, dtype=torch.int64) if num_classes else None
        for rates in _ends(recipe):
            x0 = recipe.objective.predict(network, x, rates, label).x0
    if x0.shape != x.shape:
        raise InputError(f"backbone: images {tuple(x.shape)} come out as {tuple(x0.shape)}")
    return network


def _ends(recipe: Recipe) -> list[Rates[float]]:
    """The schedule's rates where sampling starts, and at t = 0."""
    rates = recipe.schedule(torch.tensor([1.0, 0.0], dtype=torch.float64, device="cpu"))
    return [Rates(a, b) for a, b in zip(rates.signal.tolist(), rates.noise.tolist(), strict=True)]


def _try_metrics(recipe: Recipe, validation: Mask) -> None:
    """Call each metric on random features of the real counts: too few images are told now."""
    counts = {"validation": int(validation.sum()), "train": int((~validation).sum())}
    settings, scored = recipe.train.validate, recipe.evaluate
    if settings.metrics and counts["validation"] < 2:
        raise InputError(
            f"{len(validation)} images: metrics need 2 validation images, split.validation "
            f"{recipe.split.validation} leaves {counts['validation']}; raise it or add images"
        )
    for metric in settings.metrics:
        _try_metric("train.validate.metrics", metric, counts["validation"], settings.num_images)
    for metric in scored.metrics if scored else ():
        assert scored
        _try_metric("evaluate.metrics", metric, counts[scored.split], scored.num_images)


def _try_metric(key: str, metric: Metric, num_real: int, num_fake: int | None) -> None:
    """Raises InputError with the recipe's key."""
    noise = torch.Generator().manual_seed(0)
    try:
        metric(*(torch.randn(n, 4, generator=noise) for n in (num_real, num_fake or num_real)))
    except InputError as error:
        raise InputError(f"{key}: {error}") from error
