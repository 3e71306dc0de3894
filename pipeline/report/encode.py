"""Images as data URIs, within a number of bytes: a page is one file that can be sent."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
"""One image (C, H, W), or several (N, C, H, W), with 1 or 3 channels."""

LADDER = ((1, 90), (1, 75), (2, 75), (4, 75), (8, 60))
"""Divisors of the size and qualities of WebP, tried in turn where PNGs take too much room."""


@dataclass(frozen=True)
class Encoded:
    """Images as data URIs, in the order that they were given in."""

    uris: list[str]
    exact: bool
    """Whether every pixel is as it was; else the images were compressed to fit."""


def encode(pngs: Sequence[bytes], budget: int) -> Encoded:
    """PNG files as they are, or compressed where together they are larger than ``budget`` bytes."""
    if _encoded_size(pngs) <= budget:
        return Encoded([_uri(png, "png") for png in pngs], exact=True)
    for divisor, quality in LADDER:
        webps = [_webp(png, divisor, quality) for png in pngs]
        if _encoded_size(webps) <= budget:
            break
    return Encoded([_uri(webp, "webp") for webp in webps], exact=False)


def png(image: Pixels) -> bytes:
    """An image (C, H, W) as a PNG file."""
    array = np.moveaxis(image, 0, -1)
    file = io.BytesIO()
    Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(file, "PNG")
    return file.getvalue()


def _webp(png: bytes, divisor: int, quality: int) -> bytes:
    with Image.open(io.BytesIO(png)) as image:
        size = (max(1, image.width // divisor), max(1, image.height // divisor))
        small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=quality, method=2)
    return file.getvalue()


def _encoded_size(files: Sequence[bytes]) -> int:
    """How many letters the files take in the page: base64 has four for three bytes."""
    return sum(map(len, files)) * 4 // 3


def _uri(file: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"
