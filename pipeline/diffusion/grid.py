"""Tensors as pictures and pictures as tensors, and many images as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..store.folders import replacing

GAP = 2
"""White pixels between images."""

ENLARGED, ENLARGED_LABELLED = 64, 96
"""Smaller images are enlarged, by a whole factor, to at least this side: 32 pixels are a stamp."""

FONT_SIZE, LINE, LINES = 11, 12, 2
"""Of captions: pixels of the letters, of a line, and how many lines there are at most."""


def save_grid(
    images: Tensor, grid: tuple[int, int], path: Path, captions: Sequence[str] | None = None
) -> None:
    """uint8 (N, C, H, W), the first columns × rows of them, row by row; empty cells stay white.

    ``captions`` stand below the images, in two lines or cut where they do not fit.
    """
    columns, rows = grid
    height, width = images.shape[2:]
    least = ENLARGED_LABELLED if captions else ENLARGED
    factor = max(1, -(-least // max(height, width)))
    height, width = height * factor, width * factor
    font = ImageFont.load_default(FONT_SIZE)
    texts = [_lines(text, width, font) for text in captions or ()]
    below = max(map(len, texts), default=0) * LINE + (GAP if texts else 0)
    size = (columns * (width + GAP) + GAP, rows * (height + below + GAP) + GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for i, image in enumerate(images[: columns * rows]):
        picture = to_picture(image).resize((width, height), Image.Resampling.NEAREST)
        row, column = divmod(i, columns)
        left, top = GAP + column * (width + GAP), GAP + row * (height + below + GAP)
        sheet.paste(picture, (left, top))
        for number, line in enumerate(texts[i] if texts else ()):
            draw.text((left, top + height + number * LINE), line, "black", font)
    with replacing(path) as partial:
        sheet.save(partial, format="PNG", optimize=True)


def to_tensor(picture: Image.Image) -> Tensor:
    """An RGB picture as float32 (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float().div_(255)


def to_picture(image: Tensor) -> Image.Image:
    """An image uint8 (C, H, W) of 1 or 3 channels as an RGB picture."""
    return Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy()).convert("RGB")


def _lines(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> list[str]:
    """At most two lines of words, each cut to the width."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width and len(lines) < LINES:
            lines.append(word)
        else:
            lines[-1] = longer
    return [_cut(line, width, font) for line in lines]


def _cut(line: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line + "…"
