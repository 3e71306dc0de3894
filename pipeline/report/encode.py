"""Pictures as data URIs, within a number of bytes: a page is one file that can be sent."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

LADDER = ((1, 90), (1, 75), (2, 75), (4, 75), (8, 60))
"""Divisors of the size and qualities of WebP, tried in turn where PNGs take too much room."""


@dataclass(frozen=True)
class Pictures:
    """Data URIs in the order of the pictures."""

    uris: list[str]
    exact: bool
    """Every pixel as it was; else they were compressed to fit."""


def pictures(pngs: Sequence[bytes], budget: int) -> Pictures:
    """PNG files as they are, or compressed where together they are larger than ``budget`` bytes."""
    if _size(pngs) <= budget:
        return Pictures([_uri(png, "png") for png in pngs], exact=True)
    for divisor, quality in LADDER:
        smaller = [_webp(png, divisor, quality) for png in pngs]
        if _size(smaller) <= budget:
            break
    return Pictures([_uri(one, "webp") for one in smaller], exact=False)


def png(pixels: npt.ArrayLike) -> bytes:
    """uint8 (C, H, W), 1 or 3 channels, as a PNG file."""
    array: Any = np.moveaxis(np.asarray(pixels), 0, -1)
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


def _size(files: Sequence[bytes]) -> int:
    """In the page: base64 takes four letters for three bytes."""
    return sum(map(len, files)) * 4 // 3


def _uri(file: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"
