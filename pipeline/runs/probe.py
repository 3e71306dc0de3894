"""What only the data's shape can tell, tried out before any heavy work."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import psutil
import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from ..artifacts.prepare import preprocessed
from ..artifacts.split import halves
from ..diffusion.labels import chosen_labels
from ..errors import InputError
from ..format import byte_size, image_size
from ..plugin.data import LatentCodec, Source, x0_shape
from ..plugin.length import total_steps
from ..plugin.values import NO_CLASS, Rates
from ..progress import note
from ..recipe.schema import Recipe
from ..training.batches import training_batches
from ..training.init import Init, check_init
from . import smoke
from .rehearsal import Shape, rehearse
from .results import ProbeRecord

Mask = npt.NDArray[np.bool_]

MAX_IMAGES = 20_000_000
"""Images of a dataset, or to be drawn: to split more would take minutes."""
MAX_PARTS = 40_000
"""Layers and weights of a network: deep ones have a few thousand."""
TRIES = 100
"""Images that are opened in search of one that can be read."""
ROWS = 64
"""Images of the batch that is tried, at most."""


def probe(recipe: Recipe, init: Init | None = None) -> ProbeRecord:
    """List the dataset and push one batch of its shape through every stage of the run.

    The network runs on torch's meta device, which has sizes and no numbers; the other stages run as
    they will. Raises InputError for sizes that a stage cannot take, for too few images, for what
    this machine cannot hold, and for an ``init`` that does not fit.
    """
    source = recipe.dataset()
    _check_source(source)
    validation = halves(source, recipe.split)
    image = _first_image(source, recipe)
    shape = (image.shape[0], image.shape[1], image.shape[2])
    names = _class_names(recipe, source)
    train = (~validation).nonzero()[0]
    settings = recipe.train
    per_epoch = training_batches(train, recipe.seed, settings).per_epoch
    _check_memory(recipe, shape)
    network = _tried_network(recipe, _x0_shape(recipe, shape), len(names) if names else None)
    counts = {"validation": int(validation.sum()), "train": len(train)}
    labels = torch.tensor([NO_CLASS if n is None else n for n in source.labels[:ROWS]])
    latent = isinstance(recipe.codec, LatentCodec)
    batch = _batch(image, 2 if latent else settings.batch_size)  # they take seconds an image
    rehearse(recipe, batch, labels if names else None, names, counts)
    if init:
        check_init(init, recipe, network, names, batch)
    recipe.train.optimizer(network.parameters())
    _check_learning_rates(recipe, settings.steps(per_epoch))
    if names:
        _tell_unseen(source, validation, names)
    return ProbeRecord(
        num_images=len(source),
        num_train=len(train),
        shape=shape,
        num_classes=len(names) if names else None,
        num_parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        steps_per_epoch=per_epoch,
        steps=settings.steps(per_epoch),
    )


# The dataset --------------------------------------------------------------------------------------


def _check_source(source: Source) -> None:
    """InputError for a dataset that is empty, too large, or at odds with itself."""
    count = len(source)
    if not count:
        raise InputError("the dataset is empty")
    if count > MAX_IMAGES:
        raise InputError(f"the dataset has {count:,} images; {MAX_IMAGES:,} at most")
    if {len(source.labels), len(source.parts)} != {count}:
        raise InputError(
            f"the dataset has {count} images, {len(source.labels)} labels and "
            f"{len(source.parts)} parts: it needs one of each for every image"
        )


def _first_image(source: Source, recipe: Recipe) -> Tensor:
    """The first image that can be read, preprocessed: uint8 (C, H, W).

    Those before it are named when all images are prepared. InputError where there is none.
    """
    errors = []
    for index in range(min(len(source), TRIES)):
        try:
            return torch.from_numpy(preprocessed(source.image(index), recipe.preprocess))
        except InputError as error:
            errors.append(error)
    raise errors[0]


def _batch(image: Tensor, size: int) -> Tensor:
    """A batch of the real size, but for a bound: the image, and noise of its shape."""
    pixels = np.random.default_rng(0).integers(
        256, size=(min(size, ROWS), *image.shape), dtype=np.uint8
    )
    batch = torch.from_numpy(pixels)
    batch[0] = image
    return batch


def _class_names(recipe: Recipe, source: Source) -> Sequence[str] | None:
    """None without ``condition``. InputError for a dataset without classes, and unknown ones."""
    if recipe.train.condition is None:
        return None
    names = source.class_names
    if not names or all(label is None for label in source.labels):
        raise InputError(
            "train.condition class: the dataset has no classes; leave it out, or use a dataset "
            "with classes (`pipeline plugins` lists them; folders of images can have sub-folders)"
        )
    highest = max(label for label in source.labels if label is not None)
    if highest >= len(names):
        raise InputError(f"the dataset has a label {highest} and names {len(names)} classes")
    try:
        chosen_labels(recipe.sample.classes, names)
    except InputError as error:
        raise InputError(f"sample.classes: {error}") from error
    return names


def _tell_unseen(source: Source, validation: Mask, names: Sequence[str]) -> None:
    """Say which classes training will not see."""
    pairs = zip(source.labels, validation.tolist(), strict=True)
    seen = {label for label, held in pairs if not held}
    unseen = [name for label, name in enumerate(names) if label not in seen]
    if unseen:
        more = ", …" * (len(unseen) > 10)
        note(
            f"no image of these classes is in training, so what is drawn of them means nothing: "
            f"{', '.join(unseen[:10])}{more}"
        )


def _check_memory(recipe: Recipe, shape: Shape) -> None:
    """InputError where one option alone asks for more images at once than the machine can hold."""
    train, scored = recipe.train, recipe.evaluate
    columns, rows = train.validate.grid
    wanted = {
        "train.batch_size": 4 * train.batch_size,  # float32
        "train.validate.grid": columns * rows,
        "sample.grid": recipe.sample.layout[0] * recipe.sample.layout[1],
    }
    drawn = {
        "train.validate.num_images": train.validate.num_images,
        "sample.num_images": recipe.sample.count,
        "evaluate.num_images": scored.num_images if scored else None,
    }
    for key, count in drawn.items():
        if (count or 0) > MAX_IMAGES:
            raise InputError(f"{key}: {count:,} images are beyond any use; ask for fewer")
    memory = psutil.virtual_memory().total
    channels, height, width = shape
    for key, count in wanted.items():
        if count * channels * height * width > memory:
            raise InputError(
                f"{key}: images of {image_size(shape)} would take "
                f"{byte_size(count * channels * height * width)} at once, and this machine has "
                f"{byte_size(memory)} of memory; ask for fewer"
            )


def _check_learning_rates(recipe: Recipe, steps: int) -> None:
    """InputError for a schedule that has no learning rate for some time of the training."""
    for step in (0, steps // 2, steps - 1):
        factor = recipe.train.lr_schedule(step)
        if not math.isfinite(factor):
            raise InputError(f"train.lr_schedule: gives {factor} at step {step}")
    _tell_length(recipe, steps)


def _tell_length(recipe: Recipe, steps: int) -> None:
    """Say so where the schedule is made for a longer or a shorter training."""
    made_for = total_steps(recipe.train.lr_schedule)
    if made_for is None or made_for == steps or steps <= smoke.STEPS:  # a trial
        return
    told = f"its last {steps - made_for:,} steps are beyond the end"
    if made_for > steps:
        left = recipe.train.lr_schedule(steps - 1)
        told = f"it ends at {left:.0%} of the full learning rate"
    note(
        f"train.lr_schedule: made for {made_for:,} steps, and this training has {steps:,}: {told} "
        "(total_steps: null ends with the training)"
    )


# The network --------------------------------------------------------------------------------------


def _x0_shape(recipe: Recipe, shape: Shape) -> Shape:
    """That of x0 for images of this shape."""
    try:
        return x0_shape(recipe.codec, shape)
    except InputError as error:
        raise InputError(f"codec: {error}") from error


def _tried_network(recipe: Recipe, shape: Shape, num_classes: int | None) -> nn.Module:
    """The network, without memory for its weights, after it took an image of this shape."""
    with torch.device("meta"), torch.no_grad():
        with _bounded():
            network = recipe.backbone(shape, num_classes).eval()
        x = torch.empty(1, *shape)
        label = torch.zeros(1, dtype=torch.int64) if num_classes else None
        for rates in _ends(recipe):
            x0 = recipe.objective.predict(network, x, rates, label).x0
    if x0.shape != x.shape:
        raise InputError(f"backbone: images {tuple(x.shape)} come out as {tuple(x0.shape)}")
    return network


@contextmanager
def _bounded() -> Iterator[None]:
    """InputError for a network that grows beyond any use, as soon as it does."""
    parts = size = 0
    memory = psutil.virtual_memory().total

    def count(_: nn.Module, name: str, part: object) -> None:
        nonlocal parts, size
        parts += 1
        size += part.numel() * part.element_size() if isinstance(part, Tensor) else 0
        if parts > MAX_PARTS:
            raise InputError(f"backbone: has more than {MAX_PARTS:,} layers; make it smaller")
        if size > memory:
            raise InputError(
                f"backbone: its weights take more than the {byte_size(memory)} of memory that this "
                "machine has; make it smaller"
            )

    hooks = [
        register_module_module_registration_hook(count),
        register_module_parameter_registration_hook(count),
    ]
    try:
        yield
    except Exception as error:
        overflown = "overflow" in str(error).lower()  # torch raises several types for it
        if not overflown and not isinstance(error, MemoryError):
            raise
        raise InputError("backbone: has sizes beyond any computer; make it smaller") from error
    finally:
        for hook in hooks:
            hook.remove()


def _ends(recipe: Recipe) -> list[Rates[float]]:
    """The schedule's rates where sampling starts, and at t = 0."""
    rates = recipe.schedule(torch.tensor([1.0, 0.0], dtype=torch.float64, device="cpu"))
    return [Rates(a, b) for a, b in zip(rates.signal.tolist(), rates.noise.tolist(), strict=True)]
