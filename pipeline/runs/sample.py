"""Images of a finished run, as asked: what ``pipeline sample`` does."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from ..artifacts.sample import draw_samples, read_samples
from ..diffusion.generate import SampleRequest
from ..diffusion.grid import save_grid, to_picture
from ..diffusion.labels import Labels, captions, chosen_labels
from ..diffusion.model import model_facts
from ..errors import InputError
from ..plugin.options import options as options_of_section
from ..plugin.registry import Registry
from ..recipe.schema import Sample
from ..records import Plain
from .finished import Run, open_run
from .layout import Layout, layout_of

CLASSES_SHOWN = 8
"""Classes that a folder's name tells; of more it has a digest."""


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


def sample(
    run: str | Path,
    *,
    num_images: int | None = None,
    grid: tuple[int, int] | None = None,
    num_steps: int | None = None,
    spacing: str | None = None,
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
) -> Plain:
    """Draw images from a trained model: ``out/grid.png`` and ``out/images/``. No dataset needed.

    What is not given is as in the run's recipe, section ``sample``. ``spacing`` and ``sampler`` are
    names, or texts like ``{name: ddim, eta: 1}``. ``classes`` are numbers or names; image i is of
    the i-th, from the first again after the last. With ``interpolate`` each row of the grid goes in
    so many images from one starting noise to another, within one class.
    """
    options = SampleOptions(
        num_images=num_images,
        grid=grid,
        num_steps=num_steps,
        spacing=spacing,
        seed=seed,
        sampler=sampler,
        classes=classes,
        guidance_scale=guidance_scale,
        interpolate=interpolate,
        checkpoint=checkpoint,
        weights=weights,
        out=out,
    )
    return sample_run(open_run(run, plugins=plugins, store=store, device=device), options)


def sample_run(run: Run, options: SampleOptions) -> Plain:
    """As ``sample``, from an opened run."""
    recipe = run.recipe["sample"]
    scale = recipe["guidance_scale"] if options.guidance_scale is None else options.guidance_scale
    check_conditioning(run.recipe["train"], options.classes, scale)
    layout = layout_of(options.num_images, options.grid, options.interpolate, recipe, len(options.classes or ()))
    names = model_facts(run.artifact("model").path).class_names
    labels = chosen_labels(options.classes or recipe["classes"], names) if names else None
    request = _request(run, options, labels, scale, layout.count)
    with run.naming_plugins():
        samples = draw_samples(run.artifact("model"), request, run.session)
    registry = run.session.registry
    folder = options.out or run.folder / f"samples-{_words(request, registry, bool(options.classes))}"
    texts = captions(labels, layout.rows, names, scale) if labels and names else None
    _save_images(read_samples(samples), layout.grid, folder, texts)
    return {
        "run": run.name,
        "images": request.num_images,
        "grid": str(folder / "grid.png"),
        "folder": str(folder),
        "reused": samples.reused,
        "nfe": request.nfe,
        "sampler": registry.spec(request.sampler),
        "spacing": registry.brief(request.spacing),
        **request.conditioning(),
        "seed": request.seed,
    }


def _request(
    run: Run, options: SampleOptions, labels: Labels | None, scale: float, count: int
) -> SampleRequest:
    recipe = run.recipe["sample"]
    return SampleRequest(
        sampler=run.stage("sampler", options.sampler or recipe["sampler"], "--sampler"),
        num_steps=options.num_steps or recipe["num_steps"],
        spacing=run.stage("spacing", options.spacing or recipe["spacing"], "--spacing"),
        labels=labels,
        guidance_scale=scale,
        interpolate=options.interpolate,
        num_images=count,
        batch_size=recipe["batch_size"],
        seed=run.recipe["seed"] if options.seed is None else options.seed,
        checkpoint=options.checkpoint,
        weights=options.weights,
    )


def check_conditioning(
    train: Mapping[str, Any], classes: Sequence[int | str] | None, guidance_scale: float
) -> None:
    """InputError for what a network that was trained so (a recipe's ``train``) cannot do."""
    if not (math.isfinite(guidance_scale) and guidance_scale >= 0):
        raise InputError(f"--guidance-scale {guidance_scale:g}: should be a number of at least 0")
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


def _words(request: SampleRequest, registry: Registry, classes: bool) -> str:
    """A folder's name for what was asked."""
    spec = registry.describe(request.sampler)
    options = {k: v for k, v in spec.items() if k not in ("name", "code")}
    parts = [registry.name_of(request.sampler), *(f"{k}={v}" for k, v in options.items())]
    parts += [f"{request.num_steps}steps", f"seed{request.seed}"]
    if classes and request.labels:
        values = ",".join(map(str, request.labels.values))
        digest = hashlib.sha256(values.encode()).hexdigest()[:8]
        parts.append(f"classes={values if len(request.labels.values) <= CLASSES_SHOWN else digest}")
    parts += [f"guidance={request.guidance_scale:g}"] * (request.guidance_scale != 1)
    parts += [f"interpolate={request.interpolate}"] * bool(request.interpolate)
    spacing = registry.brief(request.spacing)
    if not isinstance(spacing, str):
        spacing = "-".join([spacing["name"], *(f"{k}={v}" for k, v in spacing.items() if k != "name")])
    usual = (options_of_section(Sample)["spacing"].default, "best", "ema")
    parts += [w for w in (spacing, request.checkpoint, request.weights) if w not in usual]
    return "-".join(parts)


def _save_images(
    images: Tensor, grid: tuple[int, int], folder: Path, texts: Sequence[str] | None
) -> None:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    save_grid(images, grid, folder / "grid.png", texts)
    for old in (folder / "images").glob("?????.png"):  # of a larger request
        old.unlink()
    for i, image in enumerate(images):
        to_picture(image).save(folder / f"images/{i:05d}.png")
