"""Checks of features: float32 vectors of uint8 images, each by itself, and an honest id."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import torch
from torch import Tensor

from ...errors import InputError
from ...plugin.contracts import Extractor, Features, Output
from ...plugin.options import atoms, options
from ...plugin.stage import options_of
from ..context import Check, Context, Wrong
from ..problems.forms import forms
from ..problems.spots import spots
from ..problems.turns import in_turn
from ..problems.weights import NO_WEIGHTS, tells_other_weights
from ..same import same, untouched
from ..variants import variations
from ..worker import call_elsewhere

TOLERANCE = 1e-3
"""How much a vector may depend on how it was computed, in spreads of features over images."""
MANY = 67
"""Other images of a larger batch."""
GREYS = (*range(4), 30, *range(60, 66), *range(100, 132), *range(190, 196), 225, *range(250, 256))
"""Images of one level each: dark and bright ones are to be told apart too. Where bytes begin anew,
because a mean is taken from them, it is mostly about the middle."""
CUT = 8
"""How many times as many levels of grey may look alike in one place as usually do."""
JUMP = 20
"""How many times as far apart as usual two neighbouring levels may be; networks have up to 15."""
COLOURS = ("red", "green", "blue")


def behaviour(stage: Features) -> list[object]:
    """Dimension and vectors; not the id, which says what these depend on."""
    extractor = stage()
    return [extractor.dim, *in_turn(extractor, [_images(), spots(3, seed=1)])]


def gives_float32_vectors(stage: Features, _: Context) -> str:
    """The vectors are float32 (N, dim), finite, without gradients, of images of any size."""
    extractor = stage()
    dim: object = extractor.dim
    if not isinstance(dim, int) or dim < 1:
        raise Wrong(f"dim is {dim!r}, not the number of features")
    for images in (spots(1), spots(2, 40, 56), spots(2, 200, 136)):
        features = extractor(images)
        what = f"of {len(images)} images {images.shape[2]}x{images.shape[3]}"
        if features.dtype != torch.float32:
            raise Wrong(f"{what} it makes {features.dtype}, not torch.float32: metrics lose digits")
        if features.shape != (len(images), dim):
            raise Wrong(f"{what} it makes shape {tuple(features.shape)}, not {(len(images), dim)}")
        if features.requires_grad:
            raise Wrong(f"{what} the features carry gradients: memory grows with every batch")
        if not features.isfinite().all():
            raise Wrong(f"{what} there is NaN or infinity in the features")
    return f"float32 (N, {dim})"


def tells_images_apart(stage: Features, context: Context) -> str:
    """Different images have different features."""
    nearest = float(torch.pdist(_vectors(stage, context).detach().double()).min())
    if not nearest > 0:
        raise Wrong("two different images have the same features")
    if _is_first(stage, context):
        _tells_greys_apart(stage())
    return f"features differ by at least {nearest:.3g} between images"


def gives_what_output_says(stage: Features, context: Context) -> str:
    """The output is ``features`` or ``logits``, and logits are not probabilities yet."""
    output = stage().output
    if output not in get_args(Output):
        raise Wrong(f"output is {output!r}, not one of {', '.join(get_args(Output))}")
    asked = getattr(stage, "output", output)
    if asked in get_args(Output) and asked != output:
        raise Wrong(f"with output={asked} its extractor says that what it gives are {output}")
    vectors = _vectors(stage, context)
    sums = vectors.sum(1)
    if output == "logits" and bool((vectors >= 0).all()) and bool(((sums - 1).abs() < 0.01).all()):
        raise Wrong("its logits are probabilities, which sum to 1: leave the softmax out")
    return output


def is_in_evaluation_mode(stage: Features, context: Context) -> str:
    """Nothing is random, and nothing is kept from batch to batch."""
    first, extractor = _vectors(stage, context), stage()
    images = 255 - _images()
    extractor(images)
    if not same(extractor(images.copy_(_images())), first):  # the same memory, other images
        raise Wrong(
            "built again, or after another batch, the same images have other features: load the "
            "weights, and put the network into evaluation mode (no dropout, no batch statistics); "
            "keep nothing of a batch, whose memory the next one may have"
        )
    return "equal when built again, and after another batch"


def keeps_images_apart(stage: Features, context: Context) -> str:
    """Neither the other images of a batch nor their number matter."""
    together, extractor, images = _vectors(stage, context), stage(), _images()
    alone = extractor(images[:1])
    among_others = extractor(torch.cat([images[:1], 255 - images[1:2]]))[:1]
    dark = images[:1] // 3  # a batch of its own, and one that is bright
    dark_alone, dark_among_others = extractor(dark), extractor(torch.cat([dark, images[1:]]))[:1]
    spread = float(together.std(0).mean())
    error = max(_apart(vector, together[:1]) for vector in (alone, among_others))
    error = max(error, _apart(dark_alone, dark_among_others))
    if error > TOLERANCE * spread:
        raise Wrong(
            f"an image's features differ by up to {error:.3g} with the batch it is in, where "
            f"images differ by {spread:.3g}: put the network into evaluation mode"
        )
    if _is_first(stage, context):
        others = torch.cat([images, spots(MANY, seed=5)])
        many = extractor(others)
        error = max(error, _apart(many[:3], together))
        error = max(error, _apart(extractor(others.flip(0)).flip(0), many))
        for form, given in forms(images).items():
            error = max(error, apart := _apart(extractor(given), together))
            if apart > TOLERANCE * spread:
                raise Wrong(f"as {form} the same images have features that differ by {apart:.3g}")
        if error > TOLERANCE * spread:
            raise Wrong(
                f"an image's features differ by {error:.3g} in a batch of {len(others)} and in "
                "another one"
            )
    return f"alone and among others within {error:.1g} of a spread of {spread:.2g}"


def sees_every_channel(stage: Features, context: Context) -> str:
    """Red, green and blue count, each for itself."""
    if not _is_first(stage, context):
        return ""
    before, extractor, images = _vectors(stage, context), stage(), _images()
    changed = {f"another {name}": _channel(images, i) for i, name in enumerate(COLOURS)}
    changed["red and blue exchanged"] = images.flip(1)
    for what, other in changed.items():
        if same(extractor(other), before):
            raise Wrong(f"{what} gives the same features")
    return "red, green, blue, and their order"


def sees_all_of_an_image(stage: Features, context: Context) -> str:
    """A change of any sixteenth alone shows, also in images that lie where others lay."""
    if not _is_first(stage, context):
        return ""
    extractor = stage()
    for images in (_images()[:1], spots(1, 160, 96)):
        before = extractor(images)
        for rows, columns in product(_quarters(images.shape[2]), _quarters(images.shape[3])):
            place = images[..., rows, columns]
            place.copy_(255 - place)
            if same(extractor(images), before):
                size = "{}x{}".format(*images.shape[2:])
                raise Wrong(
                    f"another sixteenth of the images of {size}, from row {rows.start} and column "
                    f"{columns.start} on, in the same memory, changes nothing"
                )
            place.copy_(255 - place)
    return "each sixteenth of images of 32x32 and of 160x96"


def moves_to_a_device(stage: Features, context: Context) -> str:
    """``to`` gives the same extractor there: on a GPU, if there is one."""
    if not _is_first(stage, context):
        return ""
    before, extractor = _vectors(stage, context), stage()
    known = extractor.id, extractor.dim
    device = "cuda" if torch.cuda.is_available() else "cpu"
    moved: object = extractor.to(device)
    if moved is None or not callable(moved):
        raise Wrong(f"to({device!r}) gives {moved!r}; it should return the extractor")
    vectors = moved(_images().to(device))
    if vectors.device.type != device:
        raise Wrong(f"after to({device!r}) the features are on {vectors.device}")
    if (getattr(moved, "id", None), getattr(moved, "dim", None)) != known:
        raise Wrong(f"after to({device!r}) id or dim are others")
    error, spread = _apart(vectors.cpu(), before), float(before.std(0).mean())
    if error > 10 * TOLERANCE * spread:
        raise Wrong(f"on {device} the features differ by {error:.3g}, images by {spread:.3g}")
    return f"the same on {device}"


def has_an_id_that_stays(stage: Features, context: Context) -> str:
    """It is the same when built again, and in another process."""
    here = extractor_id(stage)
    if not isinstance(here, str) or not here.strip():
        raise Wrong(f"id is {here!r}; it should say architecture, weights, size and resize")
    if _is_first(stage, context):
        if extractor_id(stage) != here:
            raise Wrong("built again, it has another id: nothing would ever be comparable")
        if (elsewhere := call_elsewhere(extractor_id, stage)) != here:
            raise Wrong(f"id is {here!r} here and {elsewhere!r} in another process")
    return here


def id_tells_the_options(stage: Features, context: Context) -> str:
    """Other features by other options have another id."""
    if not _is_first(stage, context):
        return ""
    known, vectors = extractor_id(stage), _vectors(stage, context)
    for label, other in _others(context):
        extractor = other()
        gives = extractor(_images())
        if extractor.id == known and not same(gives, vectors):
            raise Wrong(
                f"with {label} the features are others but id is still {known!r}: scores that "
                "cannot be compared would be"
            )
        if not same(extractor.to("cpu")(_images()), gives):
            raise Wrong(f"with {label} the features are others after to('cpu')")
    return "another one with other options"


def id_tells_the_weights(stage: Features, context: Context) -> str:
    """The id holds the weights' digest: changed weights, another id."""
    if not _is_first(stage, context):
        return ""

    def look(other: Features) -> tuple[object, bool]:
        extractor = other()
        return extractor.id, not _gives(extractor, _vectors(stage, context))

    tried = tells_other_weights(stage, look, "id")
    with TemporaryDirectory() as folder:
        for name, file in _foreign_files(stage, Path(folder), tried):
            _must_refuse(stage, name, file, context)
    return f"other weights in {', '.join(sorted(tried))}: another id" if tried else NO_WEIGHTS


def changes_nothing_in_place(stage: Features, context: Context) -> str:
    """The images are still what they were."""
    if not _is_first(stage, context):
        return ""
    images = _images() // 2 + 40  # neither black nor white: it may be what is changed
    with untouched(images=images):
        stage()(images)
    return "images stay"


CHECKS: Sequence[Check] = (
    gives_float32_vectors,
    tells_images_apart,
    gives_what_output_says,
    is_in_evaluation_mode,
    keeps_images_apart,
    sees_every_channel,
    sees_all_of_an_image,
    moves_to_a_device,
    has_an_id_that_stays,
    id_tells_the_options,
    id_tells_the_weights,
    changes_nothing_in_place,
)


def extractor_id(stage: Features) -> object:
    """The id, by a function that another process can be told to call."""
    return stage().id


def _is_first(stage: Features, context: Context) -> bool:
    """Whether it is the given stage: networks are large, so some checks run with it only."""
    return context.index_of(stage) == 0


def _tells_greys_apart(extractor: Extractor) -> None:
    """Raise Wrong where many more levels of grey than usual look alike; by steps is right."""
    vectors = extractor(_flat(GREYS))
    _change_evenly(vectors.double())
    if max(_steps(vectors)) == 1:
        return
    every = _steps(extractor(_flat(range(256))))
    if max(every) > CUT * statistics.median(every):
        raise Wrong(
            f"{max(every)} levels of grey in a row have equal features, and usually "
            f"{statistics.median(every):g}: is something cut off?"
        )


def _change_evenly(vectors: Tensor) -> None:
    """Raise Wrong where features of ``GREYS`` that change bit by bit leap once from end to end."""
    levels = [at for at, (one, other) in enumerate(pairwise(GREYS)) if other == one + 1]
    changes = (vectors[1:] - vectors[:-1]).norm(dim=1)[levels]
    usual, most = float(changes.median()), float(changes.max())
    farthest, ends = float(torch.pdist(vectors).max()), float((vectors[-1] - vectors[0]).norm())
    leaps = usual > farthest / 1000 and most > max(farthest / 2, JUMP * usual)
    if leaps and ends < JUMP * usual:  # and white lies beside black
        grey = GREYS[levels[int(changes.argmax())]]
        raise Wrong(
            f"from grey {grey} to {grey + 1} features change {most / usual:.0f} times as much as "
            "from one level to the next elsewhere: do bytes begin anew at 0?"
        )


def _steps(vectors: Tensor) -> list[int]:
    """How many features in a row are equal, again and again."""
    steps = [1]
    for one, other in pairwise(vectors):
        if same(one, other):
            steps[-1] += 1
        else:
            steps.append(1)
    return steps


def _flat(greys: Sequence[int]) -> Tensor:
    """An image of each level alone."""
    levels = torch.tensor(greys, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return levels.expand(-1, 3, 32, 32).contiguous()


def _images() -> Tensor:
    return spots(3)


def _quarters(size: int) -> list[slice]:
    return [slice(i * size // 4, (i + 1) * size // 4) for i in range(4)]


def _channel(images: Tensor, index: int) -> Tensor:
    """The images with one channel turned round."""
    other = images.clone()
    other[:, index] = 255 - other[:, index]
    return other


def _apart(first: Tensor, second: Tensor) -> float:
    return float((first - second).abs().max())


def _gives(extractor: Extractor, vectors: Tensor) -> bool:
    return extractor.dim == vectors.shape[1] and same(extractor(_images()), vectors)


def _vectors(stage: Features, context: Context) -> Tensor:
    """The features of ``_images()``, computed once."""
    vectors: Tensor = context.observed(context.index_of(stage))[1]
    return vectors


def _others(context: Context) -> Iterator[tuple[str, Features]]:
    """The other option sets, and the given one with one option changed."""
    first, *rest = context.variants
    yield from ((variant.label, variant.stage) for variant in rest)
    for name, option in options(type(first.stage)).items():
        if not option.io_only:
            for value, stage in variations(context, 0, option):
                yield f"{name}={value}", stage
                break


def _foreign_files(
    stage: Features, folder: Path, known: Collection[str]
) -> Iterator[tuple[str, Path]]:
    """For each option that names weights: a file that is none, and one of other layers."""
    junk, other = folder / "junk.pth", folder / "other.pth"
    junk.write_bytes(b"no weights")
    torch.save({"another.network": torch.ones(3)}, other)
    for name, option in options(type(stage)).items():
        value = getattr(stage, option.field)
        if isinstance(value, Path) and value.is_dir():
            continue  # what should lie in a folder is the stage's secret
        if name in known or (name == "weights" and option.io_only and Path in atoms(option.hint)):
            yield from ((name, file) for file in (junk, other))


def _must_refuse(stage: Features, name: str, file: Path, context: Context) -> None:
    """Raise Wrong where weights that are none are taken, or passed over."""
    try:
        other = type(stage)(**{**options_of(stage), name: file})
    except ValueError:  # its option takes no such file
        return
    try:
        same_features = _gives(other(), _vectors(stage, context))
    except InputError:
        return
    except Exception as error:
        raise Wrong(
            f"given a file without its weights as {name}, it raises {type(error).__name__}: "
            f"{error}; raise InputError"
        ) from error
    kept = "as if none were given" if same_features else "with others"
    raise Wrong(f"given a file without its weights as {name}, it goes on {kept}: raise InputError")
