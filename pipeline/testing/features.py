"""What features have to keep: float32 vectors of uint8 images, each by itself, and an honest id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from ..contracts import Extractor, Features
from ..reading.options import options
from ..stage import options_of
from . import worker
from .compare import same
from .core import Context, Wrong, untouched
from .pictures import pictures
from .variants import changed

TOLERANCE = 1e-3
"""Of the spread of features over images: how much a vector may depend on how it was computed."""
ONE_WEIGHT = 1.05
"""What the largest tensor of a weights file is multiplied by."""


def behaviour(stage: Features) -> Any:
    """Dimension and vectors; not the id, which says what these depend on."""
    extractor = stage()
    return [extractor.dim, extractor(_images())]


def gives_float32_vectors(stage: Features, _: Context) -> str:
    """float32 (N, dim), finite, without gradients, of images of any size."""
    extractor = stage()
    dim: Any = extractor.dim
    if not isinstance(dim, int) or dim < 1:
        raise Wrong(f"dim is {dim!r}, not the number of features")
    for images in (_images(), pictures(1), pictures(2, 40, 56)):
        found = extractor(images)
        what = f"of {len(images)} images {images.shape[2]}x{images.shape[3]}"
        if found.dtype != torch.float32:
            raise Wrong(f"{what} it makes {found.dtype}, not torch.float32: metrics lose digits")
        if found.shape != (len(images), dim):
            raise Wrong(f"{what} it makes shape {tuple(found.shape)}, not {(len(images), dim)}")
        if found.requires_grad:
            raise Wrong(f"{what} the features carry gradients: memory grows with every batch")
        if not found.isfinite().all():
            raise Wrong(f"{what} there is NaN or infinity in the features")
    return f"float32 (N, {dim})"


def tells_images_apart(stage: Features, _: Context) -> str:
    """Different images, different features."""
    nearest = float(torch.pdist(stage()(_images()).detach().double()).min())
    if not nearest > 0:
        raise Wrong("two different images have the same features")
    return f"features differ by at least {nearest:.3g} between images"


def is_in_evaluation_mode(stage: Features, _: Context) -> str:
    """Nothing random, and nothing kept from batch to batch."""
    extractor, images = stage(), _images()
    first = extractor(images)
    extractor(255 - images)
    if not same(extractor(images), first):
        raise Wrong(
            "the same images have other features the second time: put the network into "
            "evaluation mode (dropout and batch statistics off)"
        )
    if not same(stage()(images), first):
        raise Wrong("built again, it gives other features: its weights are drawn, not loaded")
    return "equal on the second call, and when built again"


def keeps_images_apart(stage: Features, _: Context) -> str:
    """Neither the other images of a batch nor their number matter."""
    extractor, images = stage(), _images()
    together = extractor(images)
    spread = float(together.std(0).mean())
    apart = torch.cat([extractor(image[None]) for image in images])
    other = extractor(torch.cat([images[:1], 255 - images[1:]]))[:1]
    error = max(_apart(apart, together), _apart(other, together[:1]))
    if error > TOLERANCE * spread:
        raise Wrong(
            f"an image's features differ by up to {error:.3g} with the batch it is in, where "
            f"images differ by {spread:.3g}: put the network into evaluation mode"
        )
    return f"alone and among others within {error:.1g} of a spread of {spread:.2g}"


def moves_to_a_device(stage: Features, _: Context) -> str:
    """``to`` gives the same extractor on a device; a GPU, where there is one."""
    extractor, images = stage(), _images()
    before, known = extractor(images), (extractor.id, extractor.dim)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    moved: Any = extractor.to(device)
    if moved is None or not callable(moved):
        raise Wrong(f"to({device!r}) gives {moved!r}; it should return the extractor")
    found = moved(images.to(device))
    if found.device.type != device:
        raise Wrong(f"after to({device!r}) the features are on {found.device}")
    if (moved.id, moved.dim) != known:
        raise Wrong(f"after to({device!r}) id or dim are others")
    error, spread = _apart(found.cpu(), before), float(before.std(0).mean())
    if error > 10 * TOLERANCE * spread:
        raise Wrong(f"on {device} the features differ by {error:.3g}, images by {spread:.3g}")
    return f"the same on {device}"


def id_tells_the_options(stage: Features, context: Context) -> str:
    """The id stays, built again and in another process, and changes with the features."""
    extractor = stage()
    given: Any = extractor.id
    if not isinstance(given, str) or not given.strip():
        raise Wrong(f"id is {given!r}; it should say architecture, weights, size and resize")
    if stage().id != given:
        raise Wrong("built again, it has another id: nothing would ever be comparable")
    if (there := worker.behaviour("identities", stage)) != given:
        raise Wrong(f"id is {given!r} here and {there!r} in another process")
    found = extractor(_images())
    for name, value, other in _others(stage, context):
        made = other()
        if made.id == given and not _equal(made, found):
            raise Wrong(
                f"with {name}={value} the features are others but id is still {given!r}: scores "
                "that cannot be compared would be"
            )
    return given


def id_tells_the_weights(stage: Features, _: Context) -> str:
    """The id holds the weights' digest: changed weights, another id."""
    found, told = stage()(_images()), []
    with TemporaryDirectory() as folder:
        for name, file in _other_weights(stage, Path(folder)):
            other = type(stage)(**{**options_of(stage), name: file})()
            if other.id == stage().id and not _equal(other, found):
                raise Wrong(f"other weights in the file {name} give other features, and the old id")
            told.append(name)
    return (
        f"other weights in {', '.join(told)}: another id" if told else "no weights file was given"
    )


def changes_nothing_in_place(stage: Features, _: Context) -> str:
    """The images are still what they were."""
    extractor, images = stage(), _images()
    with untouched(images=images):
        extractor(images)
    return "images stay"


CHECKS = (
    gives_float32_vectors,
    tells_images_apart,
    is_in_evaluation_mode,
    keeps_images_apart,
    moves_to_a_device,
    id_tells_the_options,
    id_tells_the_weights,
    changes_nothing_in_place,
)


def _images() -> Tensor:
    return pictures(4)


def _apart(some: Tensor, others: Tensor) -> float:
    return float((some - others).abs().max())


def _equal(extractor: Extractor, found: Tensor) -> bool:
    return extractor.dim == found.shape[1] and same(extractor(_images()), found)


def _others(stage: Features, context: Context) -> Iterator[tuple[str, Any, Features]]:
    """(option, value, stage): the first other value of each option that changes what is made."""
    index = next(i for i, v in enumerate(context.variants) if v.stage is stage)
    for name, option in options(type(stage)).items():
        if not option.io_only:
            for value, made in changed(context, index, option):
                yield name, value, made
                break


def _other_weights(stage: Features, folder: Path) -> Iterator[tuple[str, Path]]:
    """Each option that names a file torch can read, with a changed copy."""
    for name, option in options(type(stage)).items():
        file = getattr(stage, option.field)
        if not option.io_only or not isinstance(file, Path) or not file.is_file():
            continue
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
            weights = max(
                (v for v in state.values() if isinstance(v, Tensor) and v.is_floating_point()),
                key=Tensor.numel,
            )
        except Exception:  # of another format: what is in it is the stage's secret
            continue
        weights.mul_(ONE_WEIGHT)
        changed_file = folder / f"{option.field}{file.suffix}"
        torch.save(state, changed_file)
        yield name, changed_file
