"""Checks of augmentations: uint8 images of the same shape, chance from draws alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ...errors import InputError
from ...plugin.data import Augmentation
from ...plugin.draws import Draws
from ..context import Check, Context, Wrong
from ..problems.forms import forms
from ..problems.other_device import on_another_device
from ..problems.spots import spots
from ..problems.turns import in_turn
from ..same import untouched

COUNT, MANY = 12, 300
SHAPES = ((COUNT, 32, 32), (1, 32, 32), (3, 33, 47), (2, 64, 24), (130, 12, 10))
"""Number of images, height and width."""


def behaviour(stage: Augmentation) -> list[Tensor]:
    """What comes of some images by some draws."""
    return in_turn(lambda shape: stage(spots(*shape), _draws(range(shape[0]))), SHAPES)


def makes_images_of_images(stage: Augmentation, _: Context) -> str:
    """Shape and type stay."""
    for shape in SHAPES:
        _makes_like(stage, spots(*shape))
    told = f"uint8 of the same shape at {len(SHAPES)} sizes"
    try:
        _makes_like(stage, spots(COUNT)[:, :1])
    except InputError:  # it needs colours
        return f"{told}; it refuses one channel"
    except Wrong:
        raise
    except Exception as error:
        raise Wrong(
            f"of images of one channel it raises {type(error).__name__}: {error}; raise InputError "
            "where it needs colours"
        ) from error
    return f"{told}, and of one channel"


def draws_from_draws_only(stage: Augmentation, _: Context) -> str:
    """The same draws give the same images."""
    images = spots(COUNT)
    first, second = (stage(images, _draws(range(COUNT))) for _ in range(2))
    if not torch.equal(first, second):
        raise Wrong("equal draws give other images: its random numbers do not come from draws")
    return "equal draws give equal images"


def is_random(stage: Augmentation, context: Context) -> str:
    """Another seed and another step change something, in one option set at least."""
    for augment in (stage, *(variant.stage for variant in context.variants)):
        by_seed, by_step = _changes(augment)
        _refuse_equal_neighbours(augment, by_step)
        if by_seed and by_step:
            return f"of 8 other seeds {by_seed}, of 8 other steps {by_step} give other images"
        if by_seed or by_step:
            still = "step" if by_seed else "seed"
            raise Wrong(f"another {still} of the draws changes nothing: they are not all it uses")
    raise Wrong(
        "it never changes an image by chance: no seed and no step makes a difference with the "
        "defaults or with an example; what is not random is a preprocessor's work"
    )


def keeps_images_apart(stage: Augmentation, _: Context) -> str:
    """Row i depends on image i and on stream i of the draws only."""
    images, rows = spots(COUNT), list(range(COUNT))
    together = stage(images, _draws(rows))
    for name, batches in (
        ("in batches of one", [[i] for i in rows]),
        ("in two batches", [rows[:5], rows[5:]]),
        ("in another order", [rows[::-1]]),
    ):
        for batch in batches:
            if not torch.equal(stage(images[batch], _draws(batch)), together[batch]):
                raise Wrong(
                    f"{name}, the same images with the same streams become others: a row "
                    "depends on its place or on its neighbours; draw one number a row, "
                    "draws.uniform(torch.empty(len(images)))"
                )
    for form, given in forms(images).items():
        if not torch.equal(stage(given, _draws(rows)), together):
            raise Wrong(f"as {form} the same images with the same streams become others")
    other = images.clone()
    other[-1] = 255 - other[-1]
    if not torch.equal(stage(other, _draws(rows))[:-1], together[:-1]):
        raise Wrong("when the last image changes, others of the batch change too")
    whole = stage(images.repeat(MANY // COUNT, 1, 1, 1), _draws(range(MANY)))
    for start in range(0, MANY, COUNT):
        part = range(start, start + COUNT)
        if not torch.equal(whole[part.start : part.stop], stage(images, _draws(part))):
            raise Wrong(f"images from {start} on of {MANY} are others than in a batch of their own")
    return f"{COUNT} images together, in two batches, one by one, in reverse, {MANY}: the same"


def changes_nothing_in_place(stage: Augmentation, _: Context) -> str:
    """The images that were given are still what they were."""
    for shape in SHAPES:
        images = spots(*shape)
        for seed in range(4):
            with untouched(images=images):
                stage(images, _draws(range(len(images)), seed=seed))
    return f"unchanged at {len(SHAPES)} sizes"


def keeps_the_device(stage: Augmentation, _: Context) -> str:
    """The answer is where the images are."""
    images = spots(4)
    return on_another_device(lambda device: stage(images.to(device), _draws(range(4))))


CHECKS: Sequence[Check] = (
    makes_images_of_images,
    draws_from_draws_only,
    is_random,
    keeps_images_apart,
    changes_nothing_in_place,
    keeps_the_device,
)


def _makes_like(stage: Augmentation, images: Tensor) -> None:
    """Raise Wrong unless it makes uint8 images of the same shape."""
    changed = stage(images, _draws(range(len(images))))
    if changed.dtype != torch.uint8 or changed.shape != images.shape:
        raise Wrong(
            f"of uint8 {tuple(images.shape)} it makes {changed.dtype} {tuple(changed.shape)}; "
            "the shape and torch.uint8 should stay"
        )


def _draws(rows: Sequence[int], seed: int = 0, step: int = 7) -> Draws:
    return Draws(seed, "train", rows, step)


def _refuse_equal_neighbours(stage: Augmentation, by_step: int) -> None:
    """Raise Wrong where steps after each other often give the same images, and others do not."""
    images, rows = spots(COUNT), range(COUNT)
    results = [stage(images, _draws(rows, step=step)) for step in range(8, 24)]
    changed = [not torch.equal(result, images) for result in results]
    equal = sum(
        some and torch.equal(one, next_one)
        for some, (one, next_one) in zip(changed, pairwise(results), strict=False)
    )
    if by_step == 8 and equal > 4:
        raise Wrong(f"{equal} of 16 steps change images as the step before: is a step its own?")


def _changes(stage: Augmentation) -> tuple[int, int]:
    """How many of 8 other seeds, and of 8 other steps, change the images."""
    images, rows = spots(COUNT), range(COUNT)
    first = stage(images, _draws(rows))

    def changes(draws: Draws) -> bool:
        return not torch.equal(first, stage(images, draws))

    by_seed = sum(changes(_draws(rows, seed=seed)) for seed in range(1, 9))
    by_step = sum(changes(_draws(rows, step=step)) for step in range(8, 16))
    return by_seed, by_step
