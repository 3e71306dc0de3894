"""What the species that ``procedural_flowers`` draws look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Range = tuple[float, float]


class Hsv(NamedTuple):
    """Ranges of hue (may leave [0, 1], it is a circle), saturation and value."""

    hue: Range
    saturation: Range
    value: Range


class Petals(NamedTuple):
    """A ring of equal petals. Lengths are in flower radii; s runs from 0 (base) to 1 (tip)."""

    number: tuple[int, int]
    length: float
    width: float
    """Largest half-width as a fraction of the length."""
    base: float
    """Exponent of s: 0.5 is full at the base, 1 is narrow."""
    tip: float
    """Half-width falls with sqrt(1 - s**tip): 1.5 is pointed, 6 is blunt."""
    notch: float = 0.0
    """Depth of a notch in the tip, in petal lengths."""


@dataclass(frozen=True)
class Species:
    """What all flowers of one class have in common."""

    name: str
    rings: tuple[Petals, ...]
    """The rings of petals from the back to the front."""
    colours: tuple[Hsv, ...]
    """Colours of the petals' tips: one is chosen for each flower."""
    throat: Hsv
    """The colour of the petals' bases."""
    heart: Hsv
    """The colour of the disk in the middle."""
    heart_radius: float
    """The radius of the disk, in flower radii."""


YELLOW = Hsv((0.12, 0.15), (0.8, 1.0), (0.85, 1.0))
WHITE = Hsv((0.0, 1.0), (0.0, 0.06), (0.93, 1.0))
PINK = Hsv((0.90, 0.96), (0.35, 0.7), (0.9, 1.0))
RED = Hsv((0.97, 1.02), (0.85, 1.0), (0.75, 0.95))
PURPLE = Hsv((0.74, 0.82), (0.55, 0.85), (0.55, 0.85))
BLUE = Hsv((0.58, 0.64), (0.5, 0.8), (0.8, 1.0))
ORANGE = Hsv((0.05, 0.08), (0.85, 1.0), (0.9, 1.0))
BROWN = Hsv((0.05, 0.08), (0.6, 0.8), (0.2, 0.35))
DARK = Hsv((0.75, 0.85), (0.3, 0.5), (0.08, 0.18))
LIME = Hsv((0.17, 0.22), (0.5, 0.8), (0.6, 0.8))
SKY = Hsv((0.5, 0.6), (0.1, 0.4), (0.5, 0.9))
LEAF = Hsv((0.25, 0.38), (0.45, 0.8), (0.25, 0.55))

SPECIES = (
    Species("daisy", (Petals((14, 19), 1.0, 0.13, 0.5, 6),), (WHITE,), WHITE, YELLOW, 0.27),
    Species(
        "sunflower",
        (Petals((15, 19), 1.0, 0.16, 0.6, 1.8), Petals((13, 16), 0.86, 0.16, 0.6, 1.8)),
        (YELLOW,),
        ORANGE,
        BROWN,
        0.42,
    ),
    Species(
        "poppy",
        (
            Petals((5, 5), 1.0, 0.7, 0.5, 3),
            Petals((4, 5), 0.8, 0.6, 0.5, 3),
        ),
        (RED, ORANGE),
        DARK,
        DARK,
        0.17,
    ),
    Species(
        "forget-me-not",
        (Petals((5, 5), 0.95, 0.46, 0.8, 5),),
        (BLUE, PURPLE),
        WHITE,
        YELLOW,
        0.18,
    ),
    Species(
        "lily",
        (Petals((3, 3), 1.05, 0.27, 0.8, 1.5), Petals((3, 3), 1.05, 0.3, 0.8, 1.5)),
        (ORANGE, PINK, WHITE),
        LIME,
        LIME,
        0.11,
    ),
    Species("cherry", (Petals((5, 5), 0.95, 0.42, 0.9, 5, 0.16),), (PINK,), WHITE, RED, 0.12),
    Species(
        "cosmos",
        (Petals((8, 8), 1.0, 0.27, 0.9, 6, 0.07),),
        (PINK, PURPLE),
        PURPLE,
        YELLOW,
        0.2,
    ),
    Species(
        "dahlia",
        (
            Petals((13, 16), 1.0, 0.18, 0.7, 2.5),
            Petals((11, 13), 0.76, 0.2, 0.7, 2.5),
            Petals((8, 10), 0.52, 0.25, 0.7, 2.5),
        ),
        (PINK, RED, PURPLE, ORANGE),
        RED,
        ORANGE,
        0.16,
    ),
)
