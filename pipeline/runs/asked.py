"""What ``pipeline sample`` can be asked for, and where each image stands in ``grid.png``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from ..errors import InputError
from ..records.pictures import MOST_CELLS, WIDEST, fitted, pictures, rows_of

if TYPE_CHECKING:
    from .given import Photos

SEVERAL = 8
"""Results of given images, together at least, where their number is not asked for."""


class SampleKeywords(TypedDict, total=False):
    """Options of ``Run.sample``, explained in ``pipeline.commands.sample``."""

    grid: tuple[int, int] | None
    num_steps: int | None
    spacing: str | None
    seed: int | None
    sampler: str | None
    classes: Sequence[int | str] | None
    guidance: str | None
    guidance_scale: float | None
    interpolate: int | None
    image: Photos | None
    strength: float | None
    mask: Photos | None
    checkpoint: Literal["best", "last"] | None
    weights: Literal["ema", "raw"]
    ema: float | None
    precision: str | None
    out: Path | None


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """What ``pipeline sample`` is asked for; None is as the run's recipe says."""

    num_images: int | None = None
    grid: tuple[int, int] | None = None
    num_steps: int | None = None
    spacing: str | None = None
    seed: int | None = None
    sampler: str | None = None
    classes: Sequence[int | str] | None = None
    guidance: str | None = None
    guidance_scale: float | None = None
    interpolate: int | None = None
    image: Photos | None = None
    strength: float | None = None
    mask: Photos | None = None
    checkpoint: Literal["best", "last"] | None = None
    weights: Literal["ema", "raw"] = "ema"
    ema: float | None = None
    precision: str | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        for name in ("num_images", "num_steps", "interpolate"):
            number, least = getattr(self, name), 2 if name == "interpolate" else 1
            if number is not None and number < least:
                raise InputError(f"{name} is {number}: should be {least} or more")
        if self.classes is not None and not self.classes:
            raise InputError("classes: name at least one, or leave it out for all")
        check_length(self.ema)
        if self.ema is not None and (self.checkpoint == "best" or self.weights == "raw"):
            asked = "--weights raw" if self.weights == "raw" else "--checkpoint best"
            raise InputError(
                f"--ema averages the weights at the end of training: leave out {asked}"
            )
        self._check_painting()

    def _check_painting(self) -> None:
        """InputError for a strength that is none, and for what goes with an image alone."""
        if self.image is None:
            for name in ("strength", "mask"):
                if getattr(self, name) is not None:
                    raise InputError(f"--{name}: needs the images to begin from; give --image")
            return
        if self.interpolate:
            raise InputError("--interpolate goes from noise to noise: leave it out with --image")
        if self.strength is not None and not 0 < self.strength <= 1:
            raise InputError(
                f"--strength {self.strength:g}: should be above 0, which would change nothing, and "
                "1 at most"
            )


def guidance_scale_of(options: SampleOptions, usual: Mapping[str, Any]) -> float:
    """How strong guidance is: as asked, or as the recipe's section ``sample`` has it."""
    asked = options.guidance_scale
    scale: float = usual["guidance_scale"] if asked is None else asked
    return scale


def check_length(ema: float | None) -> None:
    """InputError for what is no length of an average."""
    from ..diffusion.lengths import LONGEST  # here, because it imports torch

    if ema is not None and not 0 < ema < LONGEST:
        raise InputError(
            f"--ema {ema:g}: should be the length of an average as a share of the training, above "
            f"0 and below {LONGEST:.3f}, such as 0.1"
        )


@dataclass(frozen=True)
class Layout:
    """Images in a grid."""

    count: int
    grid: tuple[int, int]
    """Columns and rows."""
    interpolate: int | None
    given: int = 0
    """Images to begin from: image i begins from the i-th of these in turn; 0: none."""

    @property
    def lines(self) -> list[list[int]]:
        """The numbers of the images in each row of the grid; a row begins from one image."""
        columns, rows = self.grid
        step = max(1, self.given)
        turns = (range(start, self.count, step) for start in range(step))
        parts = (list(t[at : at + columns]) for t in turns for at in range(0, len(t), columns))
        return list(islice(parts, rows))

    def labelled(self, image: int) -> int:
        """The number by which an image's class is chosen: its row's, or its own."""
        return image // (self.interpolate or 1)


def layout_of(options: SampleOptions, usual: Mapping[str, Any], given: int = 0) -> Layout:
    """The layout that was asked for; ``usual`` is the run's section ``sample``, for the rest.

    ``given`` is how many images there are to begin from. InputError for numbers that do not fit
    each other.
    """
    if given:
        return _beside(options, given)
    grid, interpolate, classes = options.grid, options.interpolate, len(options.classes or ())
    if interpolate:
        count, width = _interpolated(options, interpolate, usual), interpolate
    else:
        count = options.num_images or (grid[0] * grid[1] if grid else pictures(usual)[0])
        width = (usual["grid"] or fitted(count))[0]
        if 0 < classes <= width:
            width -= width % classes  # each column is of one class
    labelled = count // interpolate if interpolate else count
    if labelled < classes:
        what = f"{labelled} rows" if interpolate else f"{count} images"
        raise InputError(f"--classes names {classes} classes for {what}: ask for as many at least")
    columns = min(width, count)
    columns, rows = grid or (columns, rows_of(count, columns))
    if columns * (rows - 1) >= count:
        raise InputError(f"--grid {columns}x{rows} has more rows than {count} images fill")
    return Layout(count, (columns, rows), interpolate)


def _interpolated(options: SampleOptions, interpolate: int, usual: Mapping[str, Any]) -> int:
    """How many images: whole rows."""
    grid = options.grid
    if grid and grid[0] != interpolate:
        raise InputError(
            f"--grid {grid[0]}x{grid[1]}: rows of --interpolate {interpolate} have "
            f"{interpolate} columns; write --grid {interpolate}x{grid[1]}"
        )
    count: int = options.num_images or interpolate * (grid[1] if grid else pictures(usual)[1][1])
    if count % interpolate:
        raise InputError(
            f"--num-images {count}: should be a multiple of --interpolate {interpolate}"
        )
    return count


def _beside(options: SampleOptions, given: int) -> Layout:
    """Each row of results stands beside the image that it begins from."""
    grid, classes = options.grid, len(options.classes or ())
    if grid:
        count = options.num_images or grid[0] * grid[1]
    else:
        count = options.num_images or given * -(-max(SEVERAL, classes) // given)
    for name, least in (("--image", given), ("--classes", classes)):
        if count < least:
            raise InputError(
                f"{name}: {least} are more than {count} images; ask for {least} at least with "
                "--num-images"
            )
    columns, rows = grid or (min(-(-count // given), WIDEST), 0)
    filled = sum(-(-len(range(start, count, given)) // columns) for start in range(given))
    if rows > filled:
        raise InputError(
            f"--grid {columns}x{rows}: {count} results of {given} images fill {filled} rows"
        )
    return Layout(count, (columns, rows or min(filled, MOST_CELLS // columns)), None, given)
