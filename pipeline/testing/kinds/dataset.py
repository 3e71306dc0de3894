"""What a dataset has to keep: lists that agree, images that open, a fingerprint of the content."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import PIL.Image
import PIL.ImageFile

from ...plugin.contracts import Dataset, Source
from ...plugin.photo import open_rgb
from ..core import Context, Wrong
from . import dataset_fingerprint

SHOWN = 8
"""Images that are opened, from the first to the last."""


def behaviour(stage: Dataset) -> Any:
    """Lists and some pixels; not the fingerprint, which says what these depend on."""
    source = stage()
    lists = [list(source.labels), list(source.parts), list(source.class_names)]
    return [*lists, [_pixels(source, i) for i in _some(source)]]


def lists_agree(stage: Dataset, _: Context) -> str:
    """As many labels and parts as images; labels are indices of class names, or None."""
    source = stage()
    count, names = len(source), list(source.class_names)
    if not count:
        raise Wrong("it has no images; raise InputError that says where they should be")
    for what, values in (("labels", source.labels), ("parts", source.parts)):
        if len(values) != count:
            raise Wrong(f"it has {count} images and {len(values)} {what}")
    for index, label in enumerate(source.labels):
        if label is None:
            continue
        if isinstance(label, bool) or not isinstance(label, Integral):
            raise Wrong(f"the label of image {index} is {label!r}: an index of a class, or None")
        if not 0 <= int(label) < len(names):
            raise Wrong(
                f"the label of image {index} is {label}, but there are {len(names)} class names: "
                "labels go from 0 to one less; None is no label"
            )
    if not all(isinstance(part, str) for part in source.parts):
        raise Wrong("a part is not text")
    if len(set(names)) != len(names) or not all(isinstance(name, str) for name in names):
        raise Wrong("class names are not text, or not different from each other")
    return f"{count} images, {len(names)} classes, parts: {', '.join(dict.fromkeys(source.parts))}"


def opens_images(stage: Dataset, _: Context) -> str:
    """Some of them, to RGB, the same in any order and from several threads, as prepare does."""
    source = stage()
    places = _some(source)
    found = [_pixels(source, i) for i in places]
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda i: _pixels(source, i), reversed(places)))[::-1]
    for index, one, other in zip(places, found, again, strict=True):
        if not np.array_equal(one, other):
            raise Wrong(f"image {index} is another one when opened again, from another thread")
    kind = type(source.image(0))
    sizes = dict.fromkeys(f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in found)
    return f"{len(places)} of {len(source)}: {kind.__name__}, {', '.join([*sizes][:3])}"


def lists_without_decoding(stage: Dataset, _: Context) -> str:
    """Images are opened when they are asked for."""
    with _decoded() as count:
        source = stage()
    if count:
        raise Wrong(
            f"the call decodes or draws {len(count)} images: list them, and open image(index) "
            "when it is asked for"
        )
    return f"{len(source)} images listed, none decoded"


CHECKS = (
    lists_agree,
    opens_images,
    lists_without_decoding,
    *dataset_fingerprint.CHECKS,
)


def _some(source: Source) -> list[int]:
    return sorted({int(i) for i in np.linspace(0, len(source) - 1, SHOWN)})


def _pixels(source: Source, index: int) -> Any:
    item: Any = source.image(index)
    if not isinstance(item, (Path, PIL.Image.Image)):
        raise Wrong(f"image {index} is a {type(item).__name__}, not a Path or a PIL picture")
    return np.array(open_rgb(item))


@contextmanager
def _decoded() -> Iterator[list[str]]:
    """Grows with every picture that Pillow decodes or is made of an array."""
    count: list[str] = []

    def counted(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*a: Any, **k: Any) -> Any:
            count.append(name)
            return real(*a, **k)

        return call

    with ExitStack() as patches:
        for home, name in (
            (PIL.ImageFile.ImageFile, "load"),
            (PIL.Image, "fromarray"),
            (PIL.Image, "frombytes"),
        ):
            real = getattr(home, name)
            patches.enter_context(patch.object(home, name, counted(real, name)))
        yield count
