"""A run in small: one batch through every stage but the network, with the engine's own functions.

A network that gives zeros stands in, so that it takes no time. What only comes at the end of a run
(features, metrics, the way they are written down) fails before anything is made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..diffusion.generate import SampleRequest, generate
from ..diffusion.grid import to_picture
from ..diffusion.labels import Labels
from ..diffusion.measure import score_record
from ..diffusion.model import Model
from ..errors import InputError
from ..format import image_size
from ..plugin.contracts import Features, Metric
from ..plugin.data import x0_shape
from ..plugin.draws import Draws
from ..plugin.values import Rates, Score
from ..recipe.schema import Evaluate, Recipe, Sample, Validate
from .metrics import features_of

Shape = tuple[int, int, int]

FEW, NARROW = 256, 32
"""Rows and dimensions of the features that a metric is tried with first: more take longer."""
MOST = 100_000
"""Rows of features that it is tried with where these are too few for it."""

NO_STEP = 2**40
"""The number of the step, which no training comes to."""


class Silent(nn.Module):
    """A network that gives zeros."""

    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """Zeros like x."""
        return torch.zeros_like(x)


def rehearse(
    recipe: Recipe,
    images: Tensor,
    labels: Tensor | None,
    class_names: Sequence[str] | None,
    counts: Mapping[str, int],
) -> None:
    """Push a batch, uint8 (N, C, H, W), through the stages. InputError names the recipe's key.

    ``labels`` are of some images of the dataset, ``counts`` how many images each split has.
    """
    model = _model(recipe, images, class_names)
    model = replace(model, worse=model)  # whatever a guidance names
    steps = torch.arange(len(images))
    _learn(recipe, model, images, None if labels is None else labels[steps % len(labels)])
    drawn = [_drawn(key, model, request) for key, request in _requests(recipe, labels).items()]
    widths: list[tuple[Features, int]] = []
    for key, metric, num_real, num_fake in _measured(recipe, counts):
        with _trying(key):
            features = features_of(metric, recipe)
            known = [width for other, width in widths if other == features]
            width = known[0] if known else _width(features, drawn[0])
            widths.append((features, width))
            _try_metric(metric, num_real, num_fake or num_real, width)


@contextmanager
def _trying(key: str) -> Iterator[None]:
    """Name the recipe's key in errors."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{key}: {error}") from error


def _model(recipe: Recipe, images: Tensor, class_names: Sequence[str] | None) -> Model:
    """A model of the silent network, its codec fitted to the batch."""
    with _trying("codec"):
        state = recipe.codec.fit([images])
    channels, height, width = images.shape[1:]
    shape = channels, height, width
    return Model(
        network=Silent(),
        schedule=recipe.schedule,
        objective=recipe.objective,
        codec=recipe.codec,
        codec_state=state,
        shape=x0_shape(recipe.codec, shape),
        image_shape=shape,
        device="cpu",
        class_names=tuple(class_names) if class_names else None,
    )


def _learn(recipe: Recipe, model: Model, images: Tensor, label: Tensor | None) -> None:
    """A step without its backward pass, and the learning rates that training will have."""
    draws = Draws(recipe.seed, "train", range(len(images)), step=NO_STEP)
    before = images.shape, images.dtype
    for place, augment in enumerate(recipe.augment):
        with _trying(f"augment.{place}"):
            images = augment(images, draws)
            _same("images", before, (images.shape, images.dtype))
    with _trying("codec"):
        x0 = model.encode(images)
        wanted = (len(images), *model.shape), torch.float32
        _same("encoded images", wanted, (tuple(x0.shape), x0.dtype))
        decoded = model.decode(x0)
        _same("decoded images", before, (decoded.shape, decoded.dtype))
    with _trying("objective"):
        recipe.objective.loss(model.network, x0, label, recipe.schedule, draws)


def _same(what: str, wanted: tuple[object, object], got: tuple[object, object]) -> None:
    if wanted != got:
        (shape, dtype), (other, kind) = wanted, got
        raise InputError(
            f"{what} should be {dtype} {_numbers(shape)}, got {kind} {_numbers(other)}"
        )


def _numbers(shape: object) -> str:
    return str(tuple(shape)) if isinstance(shape, tuple) else str(shape)


def _requests(recipe: Recipe, labels: Tensor | None) -> dict[str, SampleRequest]:
    """One image in each way that the run will draw, by the recipe's key."""
    validate = recipe.train.validate
    sections: dict[str, tuple[Validate | Sample | Evaluate, int]] = {}
    sections["sample"] = (recipe.sample, recipe.sample.num_steps)
    sections["train.validate.grid_num_steps"] = (validate, validate.grid_num_steps)
    if validate.metrics:
        sections["train.validate"] = (validate, validate.num_steps)
    if recipe.evaluate:
        sections["evaluate"] = (recipe.evaluate, recipe.evaluate.num_steps)
    return {
        key: SampleRequest(
            sampler=section.sampler,
            num_steps=num_steps,
            spacing=section.spacing,
            labels=None if labels is None else Labels("", (0,)),
            guidance=section.guidance,
            guidance_scale=section.guidance_scale,
            num_images=1,
            seed=recipe.seed,
        )
        for key, (section, num_steps) in sections.items()
    }


def _drawn(key: str, model: Model, request: SampleRequest) -> Tensor:
    """An image, uint8 (1, C, H, W), that can be shown."""
    with _trying(key):
        _check_nfe(request)
        (image,) = generate(model, request, [0])
        wanted = (1, *model.image_shape), torch.uint8
        _same("samples", wanted, (tuple(image.shape), image.dtype))
    try:
        to_picture(image[0])
    except (TypeError, ValueError) as error:
        channels = model.image_shape[0]
        raise InputError(
            f"images of {channels} channels cannot be shown: grids and samples need 1 or 3"
        ) from error
    return image


def _check_nfe(request: SampleRequest) -> None:
    """InputError for a sampler that does not know how often it evaluates the network."""
    number: object = request.sampler.nfe(request.num_steps)
    if not isinstance(number, int) or number < 0:
        raise InputError(
            f"{type(request.sampler).__name__}.nfe({request.num_steps}) is {number!r}: should be "
            "the number of network evaluations for an image"
        )


def _width(features: Features, image: Tensor) -> int:
    """The dimensions of the features, which were extracted from the image."""
    extractor = features()
    try:
        values = extractor(image)
    except (RuntimeError, ValueError, TypeError) as error:  # how torch tells of a wrong shape
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"its features cannot take images of {image_size(image.shape)}: {reason}"
        ) from error
    _same("features", ((1, extractor.dim), torch.float32), (tuple(values.shape), values.dtype))
    return extractor.dim


def _measured(
    recipe: Recipe, counts: Mapping[str, int]
) -> Iterator[tuple[str, Metric, int, int | None]]:
    """Every metric with the recipe's key, and how many real and generated images it compares."""
    settings, scored = recipe.train.validate, recipe.evaluate
    if settings.metrics and counts["validation"] < 2:
        raise InputError(
            f"{sum(counts.values())} images: metrics need 2 validation images, split.validation "
            f"{recipe.split.validation} leaves {counts['validation']}; raise it or add images"
        )
    for metric in settings.metrics:
        yield "train.validate.metrics", metric, counts["validation"], settings.num_images
    for metric in scored.metrics if scored else ():
        assert scored
        yield "evaluate.metrics", metric, counts[scored.split], scored.num_images


def _try_metric(metric: Metric, num_real: int, num_fake: int, width: int) -> None:
    """Score random features. InputError for too few images, and for what JSON cannot hold.

    Few narrow features are tried first. Where they are too few for the metric, all are.
    """
    noise = torch.Generator().manual_seed(0)

    def score(most: int, width: int) -> Score:
        sides = (torch.randn(min(n, most), width, generator=noise) for n in (num_real, num_fake))
        return metric(*sides)

    try:
        value = score(FEW, min(width, NARROW))
    except InputError:
        value = score(MOST, width)
    try:
        json.dumps(score_record(value))
    except (TypeError, ValueError) as error:
        raise InputError(f"a score should be plain numbers and texts: {error}") from error
