"""Class labels: which classes are asked for, and which class each drawn image gets.

A label is a class index, or ``NO_CLASS``, which conditional networks learn from dropped labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import torch
from torch import Tensor

from ..errors import InputError
from ..plugin.contracts import NO_CLASS
from ..plugin.draws import Draws, stream
from .images import Images

MOST_SHOWN = 20
"""Classes that an error lists."""


@dataclass(frozen=True)
class Labels:
    """Of drawn images: image i gets value i, from the first again after the last."""

    words: str
    """Where they come from; beside the model and the seed, all that they depend on."""
    values: tuple[int, ...]

    def of(self, images: Sequence[int]) -> Tensor:
        """int64 (N,)."""
        return torch.tensor([self.values[i % len(self.values)] for i in images])


def chosen_labels(wanted: Sequence[int | str] | None, names: Sequence[str]) -> Labels:
    """Classes given by name or number, or all of them in turn.

    Where a class is named like a number, the name counts. InputError for what is neither.
    """
    if wanted is None:
        return Labels("all in turn", tuple(range(len(names))))
    values = tuple(_class_index(one, names) for one in wanted)
    return Labels(", ".join(map(str, values)), values)


def split_labels(images: Images, split: str, seed: int, *, fresh: bool = False) -> Labels:
    """Those of a split's images, in an order drawn from the seed: any first few are typical.

    ``fresh`` draws another order: scores are not to share it with what chose the checkpoint.
    """
    indices = images.indices("train" if split == "train" else "validation")
    labels = images.labels[stream(seed, "labels", draw=int(fresh)).permutation(indices)]
    return Labels(f"as in {split}" + " (drawn anew)" * fresh, tuple(labels.tolist()))


def dropped(label: Tensor, share: float, draws: Draws) -> Tensor:
    """A ``share`` of the labels (N,) replaced by NO_CLASS: Ho & Salimans 2022, algorithm 1.

    https://arxiv.org/abs/2207.12598
    """
    lost = draws.uniform(torch.empty(len(label))) < share
    return label.masked_fill(lost.to(label.device), NO_CLASS)


def captions(
    labels: Labels, images: Sequence[int], names: Sequence[str], guidance_scale: float
) -> list[str]:
    """What stands below the pictures of these images; at scale 0 they are of no class."""
    free = guidance_scale == 0
    given = labels.of(images).tolist()
    return ["no class" if free or label == NO_CLASS else names[label] for label in given]


def _class_index(wanted: int | str, names: Sequence[str]) -> int:
    text = str(wanted).strip()
    lower = [name.lower() for name in names]
    if text.lower() in lower:
        return lower.index(text.lower())
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    near = get_close_matches(text.lower(), lower, 1)
    meant = f"; did you mean {names[lower.index(near[0])]!r}?" if near else "."
    shown = [f"{i} {name}" for i, name in enumerate(names)]
    if len(shown) > MOST_SHOWN:
        shown[MOST_SHOWN - 1 : -1] = ["…"]
    raise InputError(
        f"no class is called {text!r}{meant} There are {len(names)}: {', '.join(shown)}"
    )
