"""Which images are for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..plugin.data import Source
from ..recipe.schema import Split


def halves(source: Source, split: Split) -> npt.NDArray[np.bool_]:
    """Which images are for validation: (N,) bool, as the dataset says it, or by the ``split``."""
    held_out = getattr(source, "held_out", None)
    if held_out is None:
        return split_indices(source.parts, split)
    validation = np.asarray(held_out, dtype=bool)
    if len(validation) != len(source):
        raise InputError(f"the dataset has {len(source)} images and {len(validation)} of held_out")
    return validation


def split_indices(parts: Sequence[str], split: Split) -> npt.NDArray[np.bool_]:
    """Which images are for validation: (N,) bool.

    Each part is shuffled by itself, in the order of SHA-256 of (seed, part, place in the part), and
    its first int((1 - validation) * n) images are for training. InputError if a half is empty.
    """
    validation = np.ones(len(parts), dtype=bool)
    for part in dict.fromkeys(parts):
        members = np.flatnonzero(np.asarray(parts) == part)
        digests = bytearray()
        for place in range(len(members)):
            digests += hashlib.sha256(f"{split.seed}:{part}:{place}".encode()).digest()
        words = np.frombuffer(digests, ">u8").reshape(-1, 4)
        order = np.lexsort(words.T[::-1])  # by the first word, then the next
        # Rounded: in floating point (1 - 0.9) * 10 is just below 1.
        training = int(round((1 - split.validation) * len(members), 6))
        validation[members[order[:training]]] = False
    if validation.all() or not validation.any():
        raise InputError(
            f"{len(parts)} images are too few for split.validation {split.validation}: "
            "training or validation would have none"
        )
    return validation


def check_halves(all_of_them: npt.NDArray[np.bool_], left: npt.NDArray[np.bool_]) -> None:
    """InputError where nothing of a half is left."""
    for half, name in ((True, "validation"), (False, "training")):
        if (all_of_them == half).any() and not (left == half).any():
            raise InputError(f"no image for {name} is left of those that can be used; add images")
