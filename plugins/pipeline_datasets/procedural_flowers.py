"""Drawn flowers: real enough to learn from, with nothing to download."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from pipeline import OptionSets, stage

from .species import DARK, LEAF, LIME, SKY, SPECIES, Hsv, Petals, Species

Array = npt.NDArray[np.floating[Any]]


@stage
class ProceduralFlowers:
    """Drawings of eight species of flowers; the label is the species.

    As in a photo, edges are a little soft and every pixel has grain. Clean drawings would be harder
    to learn from, not easier: the noise that a network leaves would be all that is seen.
    """

    num_images: Annotated[int, Field(ge=1, le=10_000_000)] = 2000
    """How many drawings there are. Image i stays the same whatever their number."""
    size: Annotated[int, Field(ge=8, le=1024)] = 64
    """Height and width in pixels."""
    grain: Annotated[float, Field(ge=0, le=1)] = 0.03
    """Standard deviation of each pixel's own noise, for values in [0, 1]; 0: a clean drawing."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Decides the flowers: another seed draws others."""

    examples: ClassVar[OptionSets] = ({"num_images": 12, "size": 16, "grain": 0.1, "seed": 1},)

    def __call__(self) -> _Drawings:
        """List the drawings, without drawing them."""
        return _Drawings(self.num_images, self.size, self.grain, self.seed)


class _Drawings:
    """Draws image i when asked for it, from (seed, i) alone."""

    def __init__(self, num_images: int, size: int, grain: float, seed: int) -> None:
        self.size, self.grain, self.seed = size, grain, seed
        self.labels: Sequence[int | None] = [_Dice(seed, i).species for i in range(num_images)]
        self.parts = ["all"] * num_images
        self.class_names = [species.name for species in SPECIES]

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> Image.Image:
        """The drawing of this index, RGB."""
        dice = _Dice(self.seed, index)
        drawing = _soften(_draw(dice, self.size))
        grainy = drawing + dice.noise(drawing.shape) * self.grain  # last: the flower stays the same
        return Image.fromarray((grainy.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))

    def fingerprint(self, digest: Callable[[Path], str]) -> str:
        """What the drawings depend on, besides the code."""
        return f"{len(self)} drawings of {self.size} pixels, grain {self.grain}, seed {self.seed}"


class _Dice:
    """The random choices of one image; the first is its species."""

    def __init__(self, seed: int, index: int) -> None:
        self._rng = np.random.default_rng([seed, index])
        self.species = self.integer(0, len(SPECIES) - 1)

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self._rng.random() * (high - low + 1))

    def number(self, low: float, high: float) -> float:
        """A number between low and high."""
        return low + self._rng.random() * (high - low)

    def one_of(self, choices: Sequence[Hsv]) -> Hsv:
        """A choice, each as likely as the others."""
        return choices[self.integer(0, len(choices) - 1)]

    def array(self, low: float, high: float, size: int) -> Array:
        """``size`` numbers between low and high."""
        return (low + self._rng.random(size) * (high - low)).astype(np.float32)

    def noise(self, shape: tuple[int, ...]) -> Array:
        """Independent standard normal numbers."""
        return self._rng.standard_normal(shape, np.float32)

    def colour(self, of: Hsv) -> Array:
        """A colour from these ranges, RGB (3, 1, 1)."""
        hue, saturation, value = (self.number(*span) for span in of)
        return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32)[:, None, None]


@lru_cache(maxsize=8)
def _grid(side: int) -> tuple[Array, Array]:
    """The coordinates x (1, side) to the right and y (side, 1) downwards, from -1 to 1."""
    axis = ((np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1).astype(np.float32)
    return axis[None, :], axis[:, None]


class _Plane(NamedTuple):
    """The canvas (3, side, side) in the flower's own polar coordinates, each (side, side)."""

    canvas: Array
    r: Array
    theta: Array
    pixel: float
    """Width of a pixel, in flower radii."""

    def paint(self, colour: Array, inside: Array) -> None:
        """Lay colour where ``inside``, the distance to the shape's edge, is positive."""
        cover = (inside / self.pixel + 0.5).clip(0, 1)
        canvas = self.canvas
        canvas *= 1 - cover
        canvas += colour * cover

    def shadow(self, inside: Array) -> None:
        """Darken the shape and a soft rim around it."""
        canvas = self.canvas
        canvas *= 1 - 0.35 * (1 + inside / 0.1).clip(0, 1)


def _draw(dice: _Dice, size: int) -> Array:
    """A flower, (3, size, size), with values from 0 to about 1.

    It is drawn at twice the size with soft edges, then averaged: no stair steps.
    """
    species = SPECIES[dice.species]
    plane = _garden(dice, *_grid(2 * size))
    leaf = dice.colour(LEAF)
    leaves = Petals((2, 5), dice.number(0.9, 1.25), 0.25, 0.8, 1.5)
    _ring(plane, dice, leaves, (leaf * 0.8, leaf), dice.number(0, 1))
    tip = dice.colour(dice.one_of(species.colours))
    base, phase = 0.5 * (tip + dice.colour(species.throat)), dice.number(0, 1)
    for place, petals in enumerate(species.rings):
        _ring(plane, dice, petals, (base, tip), phase + 0.5 * place)
    _heart(plane, dice, species)
    fine = plane.canvas.reshape(3, size, 2, size, 2)
    rows = fine[:, :, 0] + fine[:, :, 1]
    return (rows[..., 0] + rows[..., 1]) / 4


def _soften(x: Array) -> Array:
    """Blur as a lens not quite in focus: weights 1 2 1 across and down, 0.7 pixels wide."""
    x = np.pad(x, ((0, 0), (1, 1), (1, 1)), mode="edge")
    x = (x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]) / 4
    return (x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]) / 4


def _garden(dice: _Dice, x: Array, y: Array) -> _Plane:
    """Background and stem, and where the flower will be: near the middle, tilted a little."""
    canvas, pixel = _background(dice, x, y), 2 / x.size
    x, y = x - dice.number(-0.15, 0.15), y - dice.number(-0.15, 0.15)
    bend, slant = dice.number(-0.2, 0.2), dice.number(-0.3, 0.3)
    stem = dice.number(0.03, 0.06) - np.abs(x - slant * y - bend * y * y)
    _Plane(canvas, x, y, pixel).paint(dice.colour(LEAF), np.minimum(stem, y))
    radius, angle = dice.number(0.65, 0.9), dice.number(0, 2 * np.pi)
    cos, sin = float(np.cos(angle)) / radius, float(np.sin(angle)) / radius
    x, y = x * cos + y * sin, (y * cos - x * sin) * dice.number(1, 1.35)
    return _Plane(canvas, np.sqrt(x * x + y * y), np.arctan2(y, x), pixel / radius)


def _background(dice: _Dice, x: Array, y: Array) -> Array:
    """A blurred garden: light falling off in one direction, and a few soft spots."""
    one = dice.colour(dice.one_of((LEAF, LEAF, SKY, DARK)))
    other = dice.colour(LEAF) * dice.number(0.3, 1.0)
    angle = dice.number(0, 2 * np.pi)
    ramp = 0.5 + 0.35 * (x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)))
    canvas: Array = one + (other - one) * ramp.clip(0, 1)
    for _ in range(dice.integer(2, 4)):
        at, colour = dice.array(-1, 1, 2), dice.colour(dice.one_of((LEAF, LIME, SKY)))
        sharpness = np.float32(dice.number(3, 9))
        spot = np.exp(-sharpness * (x - at[0]) ** 2) * np.exp(-sharpness * (y - at[1]) ** 2)
        canvas += (colour - canvas) * (np.float32(dice.number(0.3, 0.7)) * spot)
    return canvas


def _ring(
    plane: _Plane, dice: _Dice, petals: Petals, colours: tuple[Array, Array], phase: float
) -> None:
    """Draw a ring of petals, coloured from base to tip, turned by ``phase`` petals."""
    count = dice.integer(*petals.number)
    step = 2 * np.pi / count
    turn = plane.theta * (1 / step) + (phase + count)
    nearest = np.rint(turn)
    which = nearest.astype(np.intp)  # of a list that goes round three times
    side = turn - nearest  # -0.5 to 0.5 between two neighbours
    angle = side * step
    length = np.tile(petals.length * dice.array(0.9, 1.05, count), 3)[which]
    across = np.abs(plane.r * np.sin(angle))
    s = (plane.r * np.cos(angle) / length).clip(0, None)
    if petals.notch:
        s += petals.notch * (1 - across / 0.12).clip(0, None)
    tip = np.sqrt((1 - s**petals.tip).clip(0, None))
    half = petals.width * petals.length * _peak(petals) * s**petals.base * tip
    inside = np.minimum(half - across, (1 - s) * petals.length)
    light = np.tile(dice.array(0.88, 1.08, count), 3)[which] * (0.93 + 0.3 * side)
    veins = 1 - 0.12 * np.cos(across * (2 * np.pi / 0.09))
    base, end = colours
    plane.shadow(inside)
    colour = (end - base) * np.minimum(s * 1.6, 1)
    colour += base
    colour *= light * veins
    plane.paint(colour, inside)


def _peak(petals: Petals) -> float:
    """Scales the outline s**base * sqrt(1 - s**tip) to a maximum of 1."""
    best = (petals.base / (petals.base + petals.tip / 2)) ** (1 / petals.tip)
    return float(1 / (best**petals.base * np.sqrt(1 - best**petals.tip)))


def _heart(plane: _Plane, dice: _Dice, species: Species) -> None:
    """The disk in the middle: darker at its rim, with a pattern of dots."""
    radius = species.heart_radius * dice.number(0.85, 1.15)
    r, inside = plane.r, radius - plane.r
    dots = np.sin(r * 60) * np.sin(plane.theta * 11 + r * 20)
    light = 1.1 - 0.35 * (r / radius) ** 2 + 0.15 * dots
    plane.shadow(inside)
    plane.paint(dice.colour(species.heart) * light, inside)
