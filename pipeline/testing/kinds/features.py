"""What features have to keep: float32 vectors of uint8 images, each by itself, and an honest id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from ...plugin.contracts import Extractor, Features
from ...plugin.options import options
from ...plugin.stage import options_of
from .. import worker
from ..core import Context, Wrong, untouched
from ..problems.spots import pictures
from ..same import same
from ..variants import changed

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
    for images in (pictures(1), pictures(2, 40, 56)):
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


def tells_images_apart(stage: Features, context: Context) -> str:
    """Different images, different features."""
    nearest = float(torch.pdist(_shown(stage, context).detach().double()).min())
    if not nearest > 0:
        raise Wrong("two different images have the same features")
    return f"features differ by at least {nearest:.3g} between images"


def is_in_evaluation_mode(stage: Features, context: Context) -> str:
    """Nothing random, and nothing kept from batch to batch."""
    first, extractor = _shown(stage, context), stage()
    extractor(255 - _images()[:2])
    if not same(extractor(_images()), first):
        raise Wrong(
            "built again, or after another batch, the same images have other features: load the "
            "weights, and put the network into evaluation mode (no dropout, no batch statistics)"
        )
    return "equal when built again, and after another batch"


def keeps_images_apart(stage: Features, context: Context) -> str:
    """Neither the other images of a batch nor their number matter."""
    together, extractor, images = _shown(stage, context), stage(), _images()
    alone = extractor(images[:1])
    others = extractor(torch.cat([images[:1], 255 - images[1:2]]))[:1]
    spread = float(together.std(0).mean())
    error = max(_apart(found, together[:1]) for found in (alone, others))
    if error > TOLERANCE * spread:
        raise Wrong(
            f"an image's features differ by up to {error:.3g} with the batch it is in, where "
            f"images differ by {spread:.3g}: put the network into evaluation mode"
        )
    return f"alone and among others within {error:.1g} of a spread of {spread:.2g}"


def moves_to_a_device(stage: Features, context: Context) -> str:
    """``to`` gives the same extractor there: on a GPU, if there is one."""
    if context.variants[0].stage is not stage:
        return ""
    before, extractor = _shown(stage, context), stage()
    known = extractor.id, extractor.dim
    device = "cuda" if torch.cuda.is_available() else "cpu"
    moved: Any = extractor.to(device)
    if moved is None or not callable(moved):
        raise Wrong(f"to({device!r}) gives {moved!r}; it should return the extractor")
    found = moved(_images().to(device))
    if found.device.type != device:
        raise Wrong(f"after to({device!r}) the features are on {found.device}")
    if (moved.id, moved.dim) != known:
        raise Wrong(f"after to({device!r}) id or dim are others")
    error, spread = _apart(found.cpu(), before), float(before.std(0).mean())
    if error > 10 * TOLERANCE * spread:
        raise Wrong(f"on {device} the features differ by {error:.3g}, images by {spread:.3g}")
    return f"the same on {device}"


def has_an_id_that_stays(stage: Features, context: Context) -> str:
    """Built again, and in another process."""
    given: Any = stage().id
    if not isinstance(given, str) or not given.strip():
        raise Wrong(f"id is {given!r}; it should say architecture, weights, size and resize")
    if context.variants[0].stage is stage:
        if stage().id != given:
            raise Wrong("built again, it has another id: nothing would ever be comparable")
        if (there := worker.behaviour("identities", stage)) != given:
            raise Wrong(f"id is {given!r} here and {there!r} in another process")
    return given


def id_tells_the_options(stage: Features, context: Context) -> str:
    """Other features by other options: another id."""
    if context.variants[0].stage is not stage:
        return ""
    given, found = stage().id, _shown(stage, context)
    for label, other in _others(context):
        made = other()
        if made.id == given and not _equal(made, found):
            raise Wrong(
                f"with {label} the features are others but id is still {given!r}: scores that "
                "cannot be compared would be"
            )
    return "another one with other options"


def id_tells_the_weights(stage: Features, context: Context) -> str:
    """The id holds the weights' digest: changed weights, another id."""
    if context.variants[0].stage is not stage:
        return ""
    given, told = stage().id, []
    with TemporaryDirectory() as folder:
        for name, file in _other_weights(stage, Path(folder)):
            other = type(stage)(**{**options_of(stage), name: file})()
            if other.id == given and not _equal(other, _shown(stage, context)):
                raise Wrong(f"other weights in the file {name} give other features, and the old id")
            told.append(name)
    return f"other weights in {', '.join(told)}: another id" if told else "no weights file given"


def changes_nothing_in_place(stage: Features, context: Context) -> str:
    """The images are still what they were."""
    if context.variants[0].stage is not stage:
        return ""
    images = _images() // 2 + 40  # neither black nor white: it may be what is changed
    with untouched(images=images):
        stage()(images)
    return "images stay"


CHECKS = (
    gives_float32_vectors,
    tells_images_apart,
    is_in_evaluation_mode,
    keeps_images_apart,
    moves_to_a_device,
    has_an_id_that_stays,
    id_tells_the_options,
    id_tells_the_weights,
    changes_nothing_in_place,
)


def _images() -> Tensor:
    return pictures(3)


def _apart(some: Tensor, others: Tensor) -> float:
    return float((some - others).abs().max())


def _equal(extractor: Extractor, found: Tensor) -> bool:
    return extractor.dim == found.shape[1] and same(extractor(_images()), found)


def _shown(stage: Features, context: Context) -> Tensor:
    """The features of ``_images()``, found once."""
    index = next(i for i, variant in enumerate(context.variants) if variant.stage is stage)
    found: Tensor = context.shown(index)[1]
    return found


def _others(context: Context) -> Iterator[tuple[str, Features]]:
    """The other option sets, and the given one with one option changed."""
    first, *rest = context.variants
    yield from ((variant.label, variant.stage) for variant in rest)
    for name, option in options(type(first.stage)).items():
        if not option.io_only:
            for value, made in changed(context, 0, option):
                yield f"{name}={value}", made
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
