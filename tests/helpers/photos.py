"""Images as Hugging Face keeps them."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
from datasets import ClassLabel, Dataset, Features, Value
from PIL import Image

NAMES = ["tulip", "rose"]
"""Not in the order of the alphabet."""

COLUMNS = Features(
    image=datasets.Image(),
    thumbnail=datasets.Image(),
    label=ClassLabel(names=NAMES),
    species=Value("string"),
    number=Value("int64"),
    price=Value("float64"),
)


def pixels(seed: int, side: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def rows(start: int, count: int, **changed: Any) -> Dataset:
    """Images start … start + count - 1, with everything that hangs on them."""
    wanted = range(start, start + count)
    made: dict[str, list[Any]] = {
        "image": [Image.fromarray(pixels(i)) for i in wanted],
        "thumbnail": [Image.fromarray(pixels(i, 4)) for i in wanted],
        "label": [i % 2 for i in wanted],
        "species": [["oak", "ash", "elm"][i % 3] for i in wanted],
        "number": [[30, 7][i % 2] for i in wanted],
        "price": [float(i) for i in wanted],
    }
    return Dataset.from_dict({**made, **changed}, features=COLUMNS)
