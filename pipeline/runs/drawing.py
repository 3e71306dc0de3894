"""What ``pipeline sample`` can be asked for: how many images, in what grid, and in which folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from ..artifacts.sample import draw_samples, read_samples
from ..artifacts.session import Session
from ..diffusion.generate import SampleRequest
from ..diffusion.grid import draw_grid, to_picture
from ..diffusion.labels import captions
from ..diffusion.model import model_facts
from ..errors import InputError
from ..plugin.contracts import Sampler, Spacing
from ..plugin.options import options as options_of_section
from ..plugin.registry import Registry
from ..recipe.schema import MAX_GUIDANCE, Sample
from ..records import Plain
from ..store.store import Artifact
from .pictures import png, write_pictures
from .requests import drawn_labels

CLASSES_SHOWN = 8
"""Classes that a folder's name tells; of more it has a digest."""


class SampleKeywords(TypedDict, total=False):
    """Options of ``Run.sample``, explained in ``pipeline.commands.sample``."""

    grid: tuple[int, int] | None
    num_steps: int | None
    spacing: str | None
    seed: int | None
    sampler: str | None
    classes: Sequence[int | str] | None
    guidance_scale: float | None
    interpolate: int | None
    checkpoint: Literal["best", "last"]
    weights: Literal["ema", "raw"]
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
    guidance_scale: float | None = None
    interpolate: int | None = None
    checkpoint: Literal["best", "last"] = "best"
    weights: Literal["ema", "raw"] = "ema"
    out: Path | None = None

    def __post_init__(self) -> None:
        for name in ("num_images", "num_steps", "interpolate"):
            number, least = getattr(self, name), 2 if name == "interpolate" else 1
            if number is not None and number < least:
                raise InputError(f"{name} is {number}: should be {least} or more")
        if self.classes is not None and not self.classes:
            raise InputError("classes: name at least one, or leave it out for all")


@dataclass(frozen=True)
class Layout:
    """Images in a grid."""

    count: int
    grid: tuple[int, int]
    """Columns and rows."""
    interpolate: int | None

    @property
    def rows(self) -> list[int]:
        """For each image the number by which its class is chosen: its row, or its own."""
        return [i // (self.interpolate or 1) for i in range(self.count)]


def layout_of(options: SampleOptions, usual: Mapping[str, Any]) -> Layout:
    """The layout that was asked for; ``usual`` is the run's section ``sample``, for the rest.

    InputError for numbers that do not fit each other.
    """
    grid, interpolate, classes = options.grid, options.interpolate, len(options.classes or ())
    if interpolate:
        count, width = _interpolated(options, interpolate, usual), interpolate
    else:
        count = options.num_images or (grid[0] * grid[1] if grid else usual["num_images"])
        width = usual["grid"][0]
        if 0 < classes <= width:
            width -= width % classes  # each column is of one class
    labelled = count // interpolate if interpolate else count
    if labelled < classes:
        what = f"{labelled} rows" if interpolate else f"{count} images"
        raise InputError(f"--classes names {classes} classes for {what}: ask for as many at least")
    columns = min(width, count)
    columns, rows = grid or (columns, -(-count // columns))
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
    count: int = options.num_images or interpolate * (grid[1] if grid else usual["grid"][1])
    if count % interpolate:
        raise InputError(
            f"--num-images {count}: should be a multiple of --interpolate {interpolate}"
        )
    return count


@dataclass(frozen=True)
class Drawn:
    """Samples that were asked for, and how they are shown."""

    request: SampleRequest
    samples: Artifact
    grid: tuple[int, int]
    captions: list[str] | None
    """What stands below each image, where there are classes."""


def draw(
    recipe: Plain,
    model: Artifact,
    sampler: Sampler,
    spacing: Spacing,
    options: SampleOptions,
    session: Session,
) -> Drawn:
    """Draw samples of a model as asked for; what is not given is as in its run's ``recipe``."""
    usual, given = recipe["sample"], options.guidance_scale
    scale = usual["guidance_scale"] if given is None else given
    check_conditioning(recipe["train"], options.classes, scale)
    layout = layout_of(options, usual)
    names = model_facts(model.path).class_names
    labels = drawn_labels(options.classes or usual["classes"], names) if names else None
    request = SampleRequest(
        sampler=sampler,
        num_steps=options.num_steps or usual["num_steps"],
        spacing=spacing,
        labels=labels,
        guidance_scale=scale,
        interpolate=options.interpolate,
        num_images=layout.count,
        batch_size=usual["batch_size"],
        seed=recipe["seed"] if options.seed is None else options.seed,
        checkpoint=options.checkpoint,
        weights=options.weights,
    )
    texts = captions(labels, layout.rows, names, scale) if labels and names else None
    return Drawn(request, draw_samples(model, request, session), layout.grid, texts)


def check_conditioning(
    train: Mapping[str, Any], classes: Sequence[int | str] | None, guidance_scale: float
) -> None:
    """InputError for what a network that was trained so (a recipe's ``train``) cannot do."""
    if not 0 <= guidance_scale <= MAX_GUIDANCE:
        asked = f"--guidance-scale {guidance_scale:g}"
        raise InputError(f"{asked}: should be a number from 0 to {MAX_GUIDANCE:g}")
    if classes and guidance_scale == 0:
        raise InputError("--guidance-scale 0 draws without regard to classes: leave out --classes")
    guided = guidance_scale != 1
    if train["condition"] is None and (classes or guided):
        what = f"--guidance-scale {guidance_scale:g}" if guided else "--classes"
        raise InputError(
            f"{what}: this model knows no classes; train one with train.condition: class"
        )
    if guided and train["drop_label"] == 0:
        raise InputError(
            f"--guidance-scale {guidance_scale:g}: this model was trained with drop_label 0 and "
            "knows nothing but images with labels; train one with train.drop_label: 0.1"
        )


def folder_name(request: SampleRequest, registry: Registry, *, chosen: bool) -> str:
    """The folder of samples that were asked so; ``chosen``: their classes were named."""
    spec = registry.describe(request.sampler)
    options = {k: v for k, v in spec.items() if k not in ("name", "code")}
    parts = [registry.name_of(request.sampler), *(f"{k}={v}" for k, v in options.items())]
    parts += [f"{request.num_steps}steps", f"seed{request.seed}"]
    if chosen and request.labels:
        values = ",".join(map(str, request.labels.values))
        digest = hashlib.sha256(values.encode()).hexdigest()[:8]
        parts.append(f"classes={values if len(request.labels.values) <= CLASSES_SHOWN else digest}")
    parts += [f"guidance={request.guidance_scale:g}"] * (request.guidance_scale != 1)
    parts += [f"interpolate={request.interpolate}"] * bool(request.interpolate)
    spacing = registry.brief(request.spacing)
    if not isinstance(spacing, str):
        changed = [f"{k}={v}" for k, v in spacing.items() if k != "name"]
        spacing = "-".join([registry.name_of(request.spacing), *changed])
    usual = (options_of_section(Sample)["spacing"].default, "best", "ema")
    parts += [w for w in (spacing, request.checkpoint, request.weights) if w not in usual]
    return "-".join(["samples", *parts])


def save_images(drawn: Drawn, folder: Path, run: str) -> None:
    """Write ``grid.png`` and ``images/`` in place of what was written there for the same run.

    InputError where that would take anything else.
    """
    images = read_samples(drawn.samples)
    files = {"grid.png": png(draw_grid(images, drawn.grid, drawn.captions))}
    files |= {f"images/{i:05d}.png": png(to_picture(image)) for i, image in enumerate(images)}
    write_pictures(folder, files, run)
