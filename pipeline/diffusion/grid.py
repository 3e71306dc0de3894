"""Tensors as pictures and pictures as tensors, and many images as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..store.folders import replacing
from .lettering import Font, font_for, has, usual_font

GAP = 2
"""How many white pixels are between images."""

ENLARGED, ENLARGED_LABELLED = 64, 96
"""Smaller images are enlarged by a whole factor to at least this side: 32 pixels are a stamp."""

LINE, ASCENT, LINES = 12, 11, 2
"""Captions: pixels of a line, those above its letters' feet, and the most lines below an image."""


def save_grid(
    images: Tensor, grid: tuple[int, int], path: Path, captions: Sequence[str] | None = None
) -> None:
    """Save images as a PNG, as ``draw_grid`` shows them."""
    with replacing(path) as partial:
        draw_grid(images, grid, captions).save(partial, format="PNG", optimize=True)


def draw_grid(
    images: Tensor, grid: tuple[int, int], captions: Sequence[str] | None = None
) -> Image.Image:
    """Images uint8 (N, C, H, W) on one sheet, row by row; empty cells stay white.

    ``grid`` is (columns, rows); images that do not fit are left out. ``captions`` stand below the
    images, in two lines or cut where they do not fit.
    """
    columns, rows = grid
    height, width = images.shape[2:]
    least = ENLARGED_LABELLED if captions else ENLARGED
    factor = max(1, -(-least // max(height, width)))
    fonts = [font_for(text) or usual_font() for text in captions or ()]
    texts = [
        _lines(text, width * factor, font) for text, font in zip(captions or (), fonts, strict=True)
    ]
    below = max(map(len, texts), default=0) * LINE + (GAP if texts else 0)
    cells = _Cells(columns, rows, width * factor, height * factor, below)
    sheet = Image.new("RGB", cells.sheet, "white")
    for i, image in enumerate(images[: columns * rows]):
        _draw(sheet, cells, i, to_picture(image))
        if texts:
            _write(sheet, cells, i, texts[i], fonts[i])
    return sheet


class _Cells(NamedTuple):
    """Where the images of a sheet stand, all in pixels."""

    columns: int
    rows: int
    width: int
    height: int
    below: int
    """The room for captions."""

    @property
    def sheet(self) -> tuple[int, int]:
        """Width and height of the sheet."""
        across = self.columns * (self.width + GAP) + GAP
        return across, self.rows * (self.height + self.below + GAP) + GAP

    def corner(self, index: int) -> tuple[int, int]:
        """The left upper corner of an image."""
        row, column = divmod(index, self.columns)
        left = GAP + column * (self.width + GAP)
        return left, GAP + row * (self.height + self.below + GAP)


def _draw(sheet: Image.Image, cells: _Cells, index: int, picture: Image.Image) -> None:
    enlarged = picture.resize((cells.width, cells.height), Image.Resampling.NEAREST)
    sheet.paste(enlarged, cells.corner(index))


def _write(sheet: Image.Image, cells: _Cells, index: int, lines: Sequence[str], font: Font) -> None:
    draw = ImageDraw.Draw(sheet)
    left, top = cells.corner(index)
    for number, line in enumerate(lines):
        foot = top + cells.height + number * LINE + ASCENT
        draw.text((left, foot), line, "black", font, anchor="ls")


def to_tensor(picture: Image.Image | npt.NDArray[np.uint8]) -> Tensor:
    """An RGB picture, or its pixels (H, W, 3), as float32 (3, H, W) in [0, 1]."""
    pixels = picture if isinstance(picture, np.ndarray) else np.array(picture)
    return torch.from_numpy(pixels).permute(2, 0, 1).float().div_(255)


def to_picture(image: Tensor) -> Image.Image:
    """An image uint8 (C, H, W) of 1 or 3 channels as an RGB picture."""
    return Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy()).convert("RGB")


def _lines(text: str, width: int, font: Font) -> list[str]:
    """The words of ``text`` in at most ``LINES`` lines, each cut to the width in pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width and len(lines) < LINES:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_cut(line, width, font) for line in lines]


def _cut(line: str, width: int, font: Font) -> str:
    if font.getlength(line) <= width:
        return line
    dots = "…" if has(font, "…") else ""
    while line and font.getlength(line + dots) > width:
        line = line[:-1]
    return line + dots
