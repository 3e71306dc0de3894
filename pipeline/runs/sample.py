"""Images of a finished run, as asked: what ``pipeline sample`` does."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..artifacts.sample import read_samples
from ..artifacts.sample import sample as draw
from ..diffusion.generate import SampleRequest, conditioning
from ..diffusion.grid import save_grid, to_picture
from ..diffusion.labels import captions, chosen_labels
from ..diffusion.model import class_names_of
from ..errors import InputError
from ..machine import choose_device
from ..plugin.registry import Registry
from ..recipe.build import build_stage
from ..recipe.load import spec_of
from ..recipe.schema import Spacing
from ..store.store import Artifact
from .folder import plugins_of, read_run, store_of

_SHOWN = 8
"""Classes that a folder's name tells; of more it has a digest."""


def sample(
    run: str | Path,
    *,
    num_images: int | None = None,
    grid: tuple[int, int] | None = None,
    num_steps: int | None = None,
    spacing: Spacing | None = None,
    seed: int | None = None,
    sampler: str | None = None,
    classes: Sequence[int | str] | None = None,
    guidance_scale: float | None = None,
    interpolate: int | None = None,
    checkpoint: Literal["best", "last"] = "best",
    weights: Literal["ema", "raw"] = "ema",
    out: Path | None = None,
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Images from a trained model: ``out/grid.png`` and ``out/images/``. No dataset needed.

    What is not given is as in the run's recipe, section ``sample``. ``classes`` are numbers or
    names, image i is of the i-th, from the first again after the last. With ``interpolate`` each
    row of the grid goes in so many images from one starting noise to another, within one class.
    """
    _check_numbers(num_images=num_images, num_steps=num_steps, interpolate=interpolate)
    if classes is not None and not classes:
        raise InputError("classes: name at least one, or leave it out for all")
    about = read_run(Path(run))
    registry = Registry.load(plugins)
    wanted = about["recipe"]["sample"]
    scale = wanted["guidance_scale"] if guidance_scale is None else guidance_scale
    check_conditioning(about["recipe"]["train"], classes, scale)
    shape = _shape(num_images, grid, wanted, len(classes or ()), interpolate)
    spec = spec_of(sampler, "--sampler") if sampler else wanted["sampler"]
    with plugins_of(about, plugins):
        kept = store_of(about, store)
        model = kept.open("model", about["artifacts"]["model"]["key"])
        names = class_names_of(model.path)
        labels = chosen_labels(classes or wanted["classes"], names) if names else None
        order = SampleRequest(
            sampler=build_stage(registry, "sampler", spec, "--sampler"),
            num_steps=num_steps or wanted["num_steps"],
            spacing=spacing or wanted["spacing"],
            labels=labels,
            guidance_scale=scale,
            interpolate=interpolate,
            num_images=shape.count,
            batch_size=wanted["batch_size"],
            seed=about["recipe"]["seed"] if seed is None else seed,
            choice=checkpoint,
            weights=weights,
        )
        drawn = draw(model, order, registry, kept, choose_device(device))
    folder = out or about["folder"] / f"samples-{_words(order, registry, bool(classes))}"
    below = None
    if labels and names:
        rows = range(shape.count) if interpolate is None else _rows(shape.count, interpolate)
        below = captions(labels, rows, names, scale)
    _save_images(drawn, shape.grid, folder, below)
    return {
        "run": about["name"],
        "images": order.num_images,
        "grid": str(folder / "grid.png"),
        "folder": str(folder),
        "reused": drawn.reused,
        "nfe": order.nfe,
        "sampler": registry.spec(order.sampler),
        "spacing": order.spacing,
        **conditioning(labels, scale),
        "seed": order.seed,
    }


def check_conditioning(
    trained: Mapping[str, Any], classes: Sequence[int | str] | None, guidance_scale: float
) -> None:
    """InputError for what a network that was trained so (a recipe's ``train``) cannot do."""
    if not (math.isfinite(guidance_scale) and guidance_scale >= 0):
        raise InputError(f"--guidance-scale {guidance_scale:g}: should be a number of at least 0")
    if classes and guidance_scale == 0:
        raise InputError("--guidance-scale 0 draws without regard to classes: leave out --classes")
    guided = guidance_scale != 1
    if trained["condition"] is None and (classes or guided):
        what = f"--guidance-scale {guidance_scale:g}" if guided else "--classes"
        raise InputError(
            f"{what}: this model knows no classes; train one with train.condition: class"
        )
    if guided and trained["drop_label"] == 0:
        raise InputError(
            f"--guidance-scale {guidance_scale:g}: this model was trained with drop_label 0 and "
            "knows nothing but images with labels; train one with train.drop_label: 0.1"
        )


@dataclass(frozen=True)
class _Shape:
    count: int
    grid: tuple[int, int]


def _shape(
    num_images: int | None,
    grid: tuple[int, int] | None,
    wanted: Mapping[str, Any],
    classes: int,
    interpolate: int | None,
) -> _Shape:
    """How many images, in what grid. InputError for numbers that do not fit each other."""
    if interpolate:
        if grid and grid[0] != interpolate:
            raise InputError(
                f"--grid {grid[0]}x{grid[1]}: rows of --interpolate {interpolate} have "
                f"{interpolate} columns; write --grid {interpolate}x{grid[1]}"
            )
        count = num_images or interpolate * (grid[1] if grid else wanted["grid"][1])
        if count % interpolate:
            raise InputError(
                f"--num-images {count}: should be a multiple of --interpolate {interpolate}"
            )
        usual = interpolate
    else:
        count = num_images or (grid[0] * grid[1] if grid else wanted["num_images"])
        usual = wanted["grid"][0]
        if 0 < classes <= usual:
            usual -= usual % classes  # each column is of one class
    drawn = count // interpolate if interpolate else count
    if drawn < classes:
        what = f"{drawn} rows" if interpolate else f"{count} images"
        raise InputError(f"--classes names {classes} classes for {what}: ask for as many at least")
    columns = min(usual, count)
    columns, rows = grid or (columns, -(-count // columns))
    if columns * (rows - 1) >= count:
        raise InputError(f"--grid {columns}x{rows} has more rows than {count} images fill")
    return _Shape(count, (columns, rows))


def _check_numbers(**given: int | None) -> None:
    """InputError for what a shell would refuse too."""
    for name, number in given.items():
        least = 2 if name == "interpolate" else 1
        if number is not None and number < least:
            raise InputError(f"{name} is {number}: should be {least} or more")


def _rows(count: int, interpolate: int) -> list[int]:
    return [i // interpolate for i in range(count)]


def _words(order: SampleRequest, registry: Registry, classes: bool) -> str:
    """A folder's name for what was asked."""
    about = registry.describe(order.sampler)
    options = {k: v for k, v in about.items() if k not in ("name", "code")}
    parts = [registry.name_of(order.sampler), *(f"{k}={v}" for k, v in options.items())]
    parts += [f"{order.num_steps}steps", f"seed{order.seed}"]
    if classes and order.labels:
        values = ",".join(map(str, order.labels.values))
        digest = hashlib.sha256(values.encode()).hexdigest()[:8]
        shown = values if len(order.labels.values) <= _SHOWN else digest
        parts.append(f"classes={shown}")
    parts += [f"guidance={order.guidance_scale:g}"] * (order.guidance_scale != 1)
    parts += [f"interpolate={order.interpolate}"] * bool(order.interpolate)
    usual = ("uniform", "best", "ema")
    parts += [w for w in (order.spacing, order.choice, order.weights) if w not in usual]
    return "-".join(parts)


def _save_images(
    drawn: Artifact, grid: tuple[int, int], folder: Path, below: Sequence[str] | None
) -> None:
    images = read_samples(drawn)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    save_grid(images, grid, folder / "grid.png", below)
    for old in (folder / "images").glob("?????.png"):  # of a larger order
        old.unlink()
    for i, image in enumerate(images):
        to_picture(image).save(folder / f"images/{i:05d}.png")
