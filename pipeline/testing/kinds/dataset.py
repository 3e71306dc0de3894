"""Checks of datasets: lists that agree, and images that open.

Those of the fingerprint, which has to be one of the content, are in ``dataset_fingerprint``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from io import BytesIO
from numbers import Integral
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import PIL.Image
import PIL.ImageFile

from ...errors import InputError
from ...plugin.data import Dataset, Source
from ...plugin.photo import open_rgb
from ..context import Check, Context, Wrong
from ..problems.folder_copies import FolderCopy, folder_copy, is_of_files
from ..problems.turns import in_turn
from . import dataset_fingerprint

OPENED = 8
"""Images that are opened, from the first to the last."""
ROUNDS = 6
"""Rounds in which each is asked for twice in a row from other threads, if the dataset opens it."""
MOST_WRITTEN = 200
"""PNG files among which images are looked for, to write them anew as other kinds of picture."""
DECODERS = (
    (PIL.ImageFile.ImageFile, "load"),
    (PIL.Image, "fromarray"),
    (PIL.Image, "frombytes"),
)
"""What Pillow decodes a picture with, or makes one of an array."""

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def behaviour(stage: Dataset) -> list[object]:
    """Lists and some pixels; not the fingerprint, which says what these depend on."""
    source = stage()
    lists = [list(source.labels), list(source.parts), list(source.class_names)]
    return [*lists, in_turn(lambda i: _pixels(source, i), _some(source))]


def lists_agree(stage: Dataset, _: Context) -> str:
    """There are as many labels and parts as images; labels are indices of classes, or None."""
    source = stage()
    count, names = len(source), list(source.class_names)
    if not count:
        raise Wrong("it has no images; raise InputError that says where they should be")
    for what, values in (("labels", source.labels), ("parts", source.parts)):
        if len(values) != count:
            raise Wrong(f"it has {count} images and {len(values)} {what}")
    for index, label in enumerate(source.labels):
        _check_label(index, label, len(names))
    if not all(isinstance(part, str) for part in source.parts):
        raise Wrong("a part is not text")
    _check_files(source)
    if len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
        raise Wrong("class names are not text, or not different from each other")
    return f"{count} images, {len(names)} classes, parts: {', '.join(dict.fromkeys(source.parts))}"


def opens_images(stage: Dataset, _: Context) -> str:
    """Some images open to RGB, the same in any order and from several threads, as prepare does."""
    source = stage()
    indices = _some(source)
    images = [_pixels(source, i) for i in indices]
    places = [*reversed(range(len(indices)))]
    if not is_of_files(source):  # two threads want one image, others another one
        places = [place for place in places for _ in range(2)] * ROUNDS
    with ThreadPoolExecutor(4) as pool, _at_each_decoding(_wait):
        again = list(pool.map(lambda place: _pixels(source, indices[place]), places))
    for place, pixels in zip(places, again, strict=True):
        if not np.array_equal(images[place], pixels):
            raise Wrong(
                f"image {indices[place]} is another one when opened again, from another thread"
            )
    kind = type(source.image(0))
    sizes = dict.fromkeys(f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in images)
    return f"{len(indices)} of {len(source)}: {kind.__name__}, {', '.join([*sizes][:3])}"


def decodes_as_the_engine_does(stage: Dataset, _: Context) -> str:
    """Where it opens PNG files itself, pixels are the same by palette, in grey, and opaque."""
    with folder_copy(stage) as copy:
        if not copy or is_of_files(stage()):
            return ""
        files = sorted(copy.root.rglob("*.png"))
        if len(files) > MOST_WRITTEN:
            return ""
        source = copy.stage()
        shown = [_pixels(source, index) for index in _some(source)]
        # Others may be masks, whose palette means something.
        files = [file for file in files if _is_one_of(file, shown)]
        if not files:
            return ""
        pictures = [open_rgb(file).quantize(64) for file in files]
        greys = [picture.convert("L") for picture in pictures]
        for kind, written in (
            ("a palette", pictures),
            ("an alpha channel", [picture.convert("RGBA") for picture in pictures]),
            ("one channel", greys),
        ):
            wanted = _pixels_of(copy, files, [picture.convert("RGB") for picture in written])
            try:
                found = _pixels_of(copy, files, written)
            except InputError:  # it takes no such files, and says so
                continue
            if len(copy.stage()) != len(source):
                continue
            for index, one, other in zip(_some(source), wanted, found, strict=True):
                if not np.array_equal(one, other):
                    raise Wrong(
                        f"image {index}, kept as PNG with {kind}, is another one than in RGB: "
                        "give the file, or open it with pipeline.open_rgb"
                    )
    return "PNG with a palette, with alpha and with one channel, as in RGB"


def lists_without_decoding(stage: Dataset, _: Context) -> str:
    """Images are opened when they are asked for."""
    decoded: Counter[str] = Counter()
    with _at_each_decoding(lambda: decoded.update(["images"])):
        source = stage()
    if decoded:
        raise Wrong(
            f"the call decodes or draws {decoded['images']} images: list them, and open "
            "image(index) when it is asked for"
        )
    return f"{len(source)} images listed, none decoded"


CHECKS: Sequence[Check] = (
    lists_agree,
    opens_images,
    decodes_as_the_engine_does,
    lists_without_decoding,
    *dataset_fingerprint.CHECKS,
)


def _check_files(source: Source) -> None:
    """Raise Wrong where a file is more than one image."""
    if not isinstance(source.image(0), Path):
        return
    files = Counter(map(source.image, range(len(source))))
    if twice := [str(file) for file, times in files.items() if times > 1]:
        raise Wrong(
            f"{twice[0]} is more than one image: is an index off by one? An image that is repeated "
            "would be trained on and validated with"
        )


def _check_label(index: int, label: object, classes: int) -> None:
    """Raise Wrong unless the label is the index of a class, or None."""
    if label is None:
        return
    if isinstance(label, bool) or not isinstance(label, Integral):
        raise Wrong(f"the label of image {index} is {label!r}: an index of a class, or None")
    if not 0 <= int(label) < classes:
        raise Wrong(
            f"the label of image {index} is {label}, but there are {classes} class names: "
            "labels go from 0 to one less; None is no label"
        )


def _some(source: Source) -> list[int]:
    return sorted({int(i) for i in np.linspace(0, len(source) - 1, OPENED)})


def _pixels(source: Source, index: int) -> Pixels:
    item: object = source.image(index)
    if not isinstance(item, (Path, PIL.Image.Image)):
        raise Wrong(f"image {index} is a {type(item).__name__}, not a Path or a PIL picture")
    return np.array(open_rgb(item))


def _is_one_of(file: Path, shown: Sequence[Pixels]) -> bool:
    """Whether a file is one of these pictures; what cannot be opened is none."""
    try:
        pixels = np.array(open_rgb(file))
    except InputError:
        return False
    return any(np.array_equal(pixels, each) for each in shown)


def _pixels_of(
    copy: FolderCopy, files: Sequence[Path], pictures: Sequence[PIL.Image.Image]
) -> list[Pixels]:
    """Some images of the dataset with these pictures in its files."""
    for file, picture in zip(files, pictures, strict=True):
        content = BytesIO()
        picture.save(content, "PNG")
        copy.write(file, content.getvalue())
    source = copy.stage()
    return [_pixels(source, index) for index in _some(source)]


def _wait() -> None:
    """Let other threads ask for images meanwhile."""
    time.sleep(0.002)


@contextmanager
def _at_each_decoding(first: Callable[[], None]) -> Iterator[None]:
    """``first`` is called before Pillow decodes a picture or makes one of an array."""

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*a: Any, **k: Any) -> Any:
            first()
            return real(*a, **k)

        return call

    with ExitStack() as patches:
        for home, name in DECODERS:
            patches.enter_context(patch.object(home, name, watched(getattr(home, name))))
        yield
