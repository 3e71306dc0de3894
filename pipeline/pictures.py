"""Many images as one PNG."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from torch import Tensor

GAP = 2
"""White pixels between images."""

ENLARGED = 64
"""Smaller images are enlarged, by a whole factor, to at least this side: 32 pixels are a stamp."""


def save_grid(images: Tensor, grid: tuple[int, int], path: Path) -> None:
    """uint8 (N, C, H, W), the first columns × rows of them, row by row; empty cells stay white."""
    columns, rows = grid
    height, width = images.shape[2:]
    factor = max(1, -(-ENLARGED // max(height, width)))
    height, width = height * factor, width * factor
    size = (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP)
    sheet = Image.new("RGB", size, "white")
    for i, image in enumerate(images[: columns * rows]):
        picture = to_picture(image).resize((width, height), Image.Resampling.NEAREST)
        row, column = divmod(i, columns)
        sheet.paste(picture, (GAP + column * (width + GAP), GAP + row * (height + GAP)))
    partial = path.with_suffix(".partial")
    sheet.save(partial, format="PNG", optimize=True)
    partial.replace(path)


def to_picture(image: Tensor) -> Image.Image:
    """uint8 (C, H, W), 1 or 3 channels."""
    return Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy()).convert("RGB")
