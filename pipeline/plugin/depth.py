"""Pictures of 16 bits a channel, rounded to the nearest of 8 bits.

Pillow drops the lower byte of colours instead, and has greys of 16 bits in modes of their own.
"""

from __future__ import annotations

import sys
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile

from ..errors import InputError

Args = tuple[Any, ...] | str | None

NATIVE = "B" if sys.byteorder == "little" else "L"
LOWER = {
    f"{colour};16{order}": f"{colour};16{swapped}"
    for colour in ("RGB", "RGBA")
    for order, swapped in (("L", "B"), ("B", "L"), ("N", NATIVE))
} | {"LA;16B": "RGBA"}
"""For how the samples lie in a file, what lets Pillow take the lower bytes: the upper ones in the
other order. Grey and alpha together have the four bytes of an RGBA of 8 bits."""


def eight_bits(image: Image.Image) -> Image.Image:
    """The picture with 8 bits a channel, decoded completely.

    InputError for other greys of more than 8 bits: which of their values is white is not known.
    """
    content = _content(image)
    image.load()
    grey = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")
    if image.mode[0] in "IF" and not grey:
        raise InputError(f"has more than 16 bits a channel (Pillow's mode {image.mode})")
    if not grey and not content:
        return image
    if "transparency" in image.info:
        raise InputError("has 16 bits a channel and a transparent colour; save it with 8 bits")
    values = np.asarray(image) if grey else _colours(image, content)
    reduced = Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))
    reduced.info = image.info  # which way is up
    return reduced


def _content(image: Image.Image) -> bytes:
    """The bytes of a file that is opened and not yet decoded, where its samples have 16 bits."""
    if not isinstance(image, ImageFile) or not image.fp:
        return b""
    if not any(_rawmode(tile.args) in LOWER for tile in image.tile):
        return b""
    place = image.fp.tell()
    image.fp.seek(0)
    content = image.fp.read()
    image.fp.seek(place)
    return content


def _colours(image: Image.Image, content: bytes) -> npt.NDArray[np.integer]:
    """All 16 bits of each channel: (H, W, channels)."""
    with Image.open(BytesIO(content)) as again:
        rawmode = _rawmode(again.tile[0].args)
        other = LOWER[rawmode]
        again.tile = [tile._replace(args=_replaced(tile.args, other)) for tile in again.tile]
        lower = np.array(again)
    if other == "RGBA":
        return np.asarray(lower.view(">u2"))
    return np.asarray(np.array(image, np.uint16) << 8 | lower)


def _rawmode(args: Args) -> str:
    """How the samples lie in the file, in Pillow's words, which are a codec's first argument."""
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _replaced(args: Args, rawmode: str) -> Args:
    return (rawmode, *args[1:]) if isinstance(args, tuple) else rawmode
