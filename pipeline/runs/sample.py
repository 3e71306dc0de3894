"""Images of a finished run, as asked: what ``pipeline sample`` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from .asked import SampleOptions
from .drawing import folder_name, save_images
from .finished import Run
from .given import Photos
from .opened import open_run
from .results import SampleResult


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
    guidance: str | None = None,
    guidance_scale: float | None = None,
    interpolate: int | None = None,
    image: Photos | None = None,
    strength: float | None = None,
    mask: Photos | None = None,
    checkpoint: Literal["best", "last"] | None = None,
    weights: Literal["ema", "raw"] = "ema",
    ema: float | None = None,
    precision: str | None = None,
    out: Path | None = None,
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
    trust_plugins: bool = False,
) -> SampleResult:
    """Draw images from a trained model: ``out/grid.png`` and ``out/images/``. No dataset needed.

    What is not given is as in the run's recipe, section ``sample``. ``spacing``, ``sampler`` and
    ``guidance`` are names, or texts like ``{name: ddim, eta: 1}``. ``classes`` are numbers or
    names; image i is of the i-th, from the first again after the last. With ``interpolate`` each
    row of the grid goes in so many images from one starting noise to another, within one class.
    ``precision`` is ``float32``, ``tf32``, ``bf16``, ``fp16`` or ``auto``, whatever the network was
    trained in. ``checkpoint`` is the best one unless it is ``last``. ``ema`` is the length of an
    average of the weights at the end, as a share of the training, made of the snapshots that
    ``train.ema.snapshot_every`` keeps. ``trust_plugins`` loads the plugin files that an exported
    run has with it.
    """
    options = SampleOptions(
        num_images=num_images,
        grid=grid,
        num_steps=num_steps,
        spacing=spacing,
        seed=seed,
        sampler=sampler,
        classes=classes,
        guidance=guidance,
        guidance_scale=guidance_scale,
        interpolate=interpolate,
        image=image,
        strength=strength,
        mask=mask,
        checkpoint=checkpoint,
        weights=weights,
        ema=ema,
        precision=precision,
        out=out,
    )
    opened = open_run(run, plugins=plugins, store=store, device=device, trust_plugins=trust_plugins)
    return _sample(opened, options)


def _sample(run: Run, options: SampleOptions) -> SampleResult:
    drawn = run.draw(options)
    request, registry = drawn.request, run.session.registry
    name = folder_name(request, registry, chosen=bool(options.classes))
    folder = options.out or run.drawn_folder / name
    save_images(drawn, folder, run.title)
    result: SampleResult = {
        "run": run.name,
        "images": request.num_images,
        "grid": str(folder / "grid.png"),
        "folder": str(folder),
        "reused": drawn.samples.reused,
        "nfe": request.nfe,
        "sampler": registry.spec(request.sampler),
        "spacing": registry.brief(request.spacing),
        "seed": request.seed,
        "precision": request.precision,
    }
    if request.length is not None:
        result["ema"] = request.length
    if unfinished := run.record.get("unfinished"):
        result["unfinished"] = unfinished
    if request.labels:
        result["labels"] = request.labels.words
        result["classes"] = {str(number): name for number, name in drawn.classes.items()}
    if request.labels or request.guidance_scale != 1:
        result["guidance_scale"] = request.guidance_scale
        result["guidance"] = registry.brief(request.guidance)
    if drawn.beginning:
        result["image"] = drawn.beginning.given.names
        result["strength"] = drawn.beginning.painting.strength
        if drawn.beginning.masks:
            result["mask"] = [mask["mask"] for mask in drawn.beginning.masks]
    return result
