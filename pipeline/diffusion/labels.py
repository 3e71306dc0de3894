"""Class labels: which classes are asked for, and which class each drawn image gets.

A label is a class index, or ``NO_CLASS``, which conditional networks learn from dropped labels.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from ..plugin.draws import Draws, stream
from ..plugin.nearest import nearest
from ..plugin.values import NO_CLASS
from .images import ImageFacts

MOST_SHOWN = 20
"""How many classes an error lists."""


@dataclass(frozen=True)
class Labels:
    """The labels of drawn images: image i gets value i, and the first again after the last."""

    words: str
    """Where the labels come from; with the model and the seed, this determines them."""
    values: tuple[int, ...]

    def of(self, images: Sequence[int]) -> Tensor:
        """The labels of the images with these numbers, int64 (N,)."""
        return torch.tensor([self.values[i % len(self.values)] for i in images])


def chosen_labels(wanted: Sequence[int | str] | None, names: Sequence[str]) -> Labels:
    """The labels of classes given by name or number, or of all classes in turn.

    Where a class is named like a number, the name counts. InputError for what is neither, and for
    what could be several.
    """
    if wanted is None:
        return Labels("all in turn", tuple(range(len(names))))
    values = tuple(_class_index(name, names) for name in wanted)
    return Labels(", ".join(map(str, values)), values)


def split_labels(images: ImageFacts, split: str, seed: int, *, fresh: bool = False) -> Labels:
    """The labels of a split's images, in an order drawn from the seed: any first few are typical.

    ``fresh`` draws another order, so that a score does not share the labels of the samples that
    chose the checkpoint.
    """
    indices = images.indices("train" if split == "train" else "validation")
    labels = images.labels[stream(seed, "labels", draw=int(fresh)).permutation(indices)]
    return Labels(f"as in {split}" + " (drawn anew)" * fresh, tuple(labels.tolist()))


def dropped(label: Tensor, share: float, draws: Draws) -> Tensor:
    """The labels (N,), a ``share`` of them replaced by NO_CLASS: Ho & Salimans 2022, algorithm 1.

    https://arxiv.org/abs/2207.12598
    """
    lost = draws.uniform(torch.empty(len(label), device=label.device)) < share
    return label.masked_fill(lost, NO_CLASS)


def captions(
    labels: Labels, images: Sequence[int], names: Sequence[str], guidance_scale: float
) -> list[str]:
    """The class names to show below these images; with guidance scale 0 they have no class."""
    free = guidance_scale == 0
    given = labels.of(images).tolist()
    return ["no class" if free or label == NO_CLASS else names[label] for label in given]


def _class_index(wanted: int | str, names: Sequence[str]) -> int:
    """The class that is meant: its exact name counts first, then its name but for case, blanks and
    composition of accents, then its number. InputError where several or none are meant.
    """
    text = str(wanted)
    for form in (str, _composed, _folded):
        found = [i for i, name in enumerate(names) if form(name) == form(text)]
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(f"{i} {names[i]!r}" for i in found)
            raise InputError(
                f"{text!r} could be any of the classes {several}; write its name as it is there"
            )
    if text.strip().isdecimal() and int(text) < len(names):
        return int(text)
    folded = [_folded(name) for name in names]
    near = nearest(_folded(text), folded)
    meant = f"; did you mean {names[folded.index(near)]!r}?" if near else "."
    raise InputError(
        f"no class is called {text!r}{meant} There are {len(names)}: "
        f"{_shown(names, range(len(names)))}"
    )


def _folded(name: str) -> str:
    """A name without what people overlook: case, outer blanks, how accents are composed."""
    return _composed(_composed(name).casefold()).strip()


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _shown(names: Sequence[str], indices: Sequence[int]) -> str:
    shown = [f"{i} {names[i]}" for i in indices]
    if len(shown) > MOST_SHOWN:
        shown[MOST_SHOWN - 1 : -1] = ["…"]
    return ", ".join(shown)
