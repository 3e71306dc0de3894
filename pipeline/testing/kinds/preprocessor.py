"""Checks of preprocessors: float32 images in [0, 1] in and out, each by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from PIL import Image
from torch import Tensor

from ...diffusion.grid import to_tensor
from ...errors import InputError
from ...plugin.data import Preprocessor
from ..context import Check, Context, Wrong
from ..problems.spots import spots
from ..problems.turns import in_turn
from ..same import same, untouched

SIZES = ((32, 32), (33, 47), (64, 24), (15, 97))
"""Height and width; also odd, and not square."""


def behaviour(stage: Preprocessor) -> list[Tensor | str]:
    """What comes of every size; a size that is refused counts with its message."""
    return in_turn(lambda image: _result(stage, image), _images())


def makes_images_of_images(stage: Preprocessor, _: Context) -> str:
    """Shape, type and range are right, also for black and for white images."""
    sizes, channels = [], set()
    for image in _images():
        result = _result(stage, image)
        if not isinstance(result, str):
            _check_image(image, result)
            sizes.append(f"{_size(image)} -> {_size(result)}")
            channels.add(result.shape[0])
    if not sizes:
        raise Wrong(f"it refuses every size that was tried: {_result(stage, next(_images()))}")
    if len(channels) > 1:
        raise Wrong("some images get one channel and some three: all have to have the same number")
    return ", ".join(dict.fromkeys(sizes))


def keeps_images_apart(stage: Preprocessor, _: Context) -> str:
    """Nothing is kept from one image to the next, nor shared between threads."""
    images = [to_tensor(_picture(32, 48, seed)) for seed in range(6)]
    alone = [_result(stage, image) for image in images]
    again = [_result(stage, image) for image in reversed(images)][::-1]
    if not same(alone, again):
        raise Wrong(
            "the same image gives another result after other images: it keeps something from "
            "call to call, or draws random numbers"
        )
    for seed, wanted in enumerate(alone):  # images that are gone leave their memory to the next
        if not same(_result(stage, to_tensor(_picture(32, 48, seed))), wanted):
            raise Wrong(
                "after an image that is gone another one gives another result: is it known "
                "by where it was in memory?"
            )
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda image: _result(stage, image), images * 4))
    if not same(together, alone * 4):
        raise Wrong("called from several threads at once, as prepare does, it gives other images")
    return f"{len(images)} images in two orders and from 4 threads: the same"


def keeps_what_differs(stage: Preprocessor, _: Context) -> str:
    """Two images do not become one."""
    images = [to_tensor(_picture(48, 48, seed)) for seed in range(2)]
    first, second = (_result(stage, image) for image in images)
    if isinstance(first, Tensor) and isinstance(second, Tensor) and torch.equal(first, second):
        raise Wrong("two different images become the same image")
    return "two images stay different"


def changes_nothing_in_place(stage: Preprocessor, _: Context) -> str:
    """The image that was given is still what it was."""
    for image in _images():
        with untouched(image=image):
            _result(stage, image)
    return f"unchanged at {len(SIZES)} sizes"


CHECKS: Sequence[Check] = (
    makes_images_of_images,
    keeps_images_apart,
    keeps_what_differs,
    changes_nothing_in_place,
)


def _images() -> Iterator[Tensor]:
    """Images in the memory layout in which the engine gives them."""
    for height, width in SIZES:
        yield to_tensor(_picture(height, width))
    yield to_tensor(_picture(32, 32)) / 2 + 0.2
    for colour in ("black", "white"):
        yield to_tensor(Image.new("RGB", (32, 32), colour))


def _picture(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(spots(1, height, width, seed)[0].permute(1, 2, 0).numpy())


def _result(stage: Preprocessor, image: Tensor) -> Tensor | str:
    """The result, or why the stage refuses this image."""
    try:
        return stage(image)
    except InputError as error:
        return str(error)


def _check_image(image: Tensor, result: object) -> None:
    """Raise Wrong unless the result is a float32 image in [0, 1]."""
    what = f"of an image {_size(image)}"
    if not isinstance(result, Tensor):
        raise Wrong(f"{what} it makes a {type(result).__name__}, not a tensor")
    if result.dtype != torch.float32:
        raise Wrong(f"{what} it makes {result.dtype}, not torch.float32")
    if result.dim() != 3 or result.shape[0] not in (1, 3) or not result.numel():
        raise Wrong(f"{what} it makes shape {tuple(result.shape)}, not (1 or 3, height, width)")
    if not result.isfinite().all():
        low, high = float(image.min()), float(image.max())
        raise Wrong(f"{what} with values from {low:g} to {high:g} it makes NaN or infinity")
    low, high = float(result.min()), float(result.max())
    if low < -1e-6 or high > 1 + 1e-6:
        raise Wrong(f"{what} it makes values from {low:g} to {high:g}, not in [0, 1]")


def _size(image: Tensor) -> str:
    return f"{image.shape[-2]}x{image.shape[-1]}"
