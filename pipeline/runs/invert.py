"""Inversion: from images back to the noise that they would be drawn from, and forth again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..diffusion.grid import draw_grid, to_picture
from ..diffusion.labels import Labels, chosen_labels
from ..diffusion.levels import levels
from ..diffusion.model import Choice, Model, Weights
from ..diffusion.precision import computing
from ..diffusion.upwards import upwards
from ..errors import InputError
from ..plugin.contracts import Denoise, Sampler, Spacing
from ..plugin.draws import Draws
from ..plugin.values import Rates
from ..progress import note, track
from ..records import Plain
from ..records.pictures import fitted
from ..store.folders import replacing
from .drawing import check_conditioning
from .finished import Run
from .given import Photos, got, read_images
from .noise import SUFFIX, Found, check_new, read_noise, write_noise
from .opened import open_run
from .pictures import png

NUM_STEPS = 50
"""Noise levels on the way, where nothing else is said."""

USUAL = (0.7, 1.4)
"""What the mean square of an image's noise may be: chance alone moves that of the smallest images,
of 768 numbers, by 0.05."""


@torch.inference_mode()
@computing("float32")
def invert(
    run: str | Path,
    images: Photos,
    *,
    num_steps: int | None = None,
    sampler: str | None = None,
    spacing: str | None = None,
    classes: Sequence[int | str] | None = None,
    checkpoint: Choice = "best",
    weights: Weights = "ema",
    out: Path | None = None,
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
    trust_plugins: bool = False,
) -> Tensor:
    """Find the noise, float32 (N, C, H, W), from which a run's model draws these images.

    The sampler runs backwards (``diffusion/upwards.py``), so it is deterministic and of first
    order, as DDIM is: the recipe's own, or ``sampler``. The network computes in float32, whatever
    the recipe says. ``reconstruct`` goes forth again; the error of the round trip falls as
    ``num_steps``, 50 unless given, grows.

    ``images`` are one or several files, folders, pictures or arrays uint8 (H, W, 3), which are
    preprocessed as the run's, or tensors uint8 (N, C, H, W) of its size. ``spacing`` is the
    recipe's unless given. ``classes`` go by number or name, image i is of the i-th in turn; without
    them images are of no class. ``out`` is a new file, ``….safetensors``, for the noise and how it
    was found. Noise far from unit variance is told. InputError for other images, and for a sampler
    that cannot run backwards.
    """
    out = check_new(out, SUFFIX)
    opened = open_run(run, plugins=plugins, store=store, device=device, trust_plugins=trust_plugins)
    asked = _Asked(num_steps, sampler, spacing, classes, checkpoint, weights)
    way = asked.way(opened)
    given = read_images(images, opened.room())
    noises = []
    for batch, denoise in way.batches(given.pixels):
        x0 = way.model.encode(batch)
        noises.append(upwards(denoise, x0, way.levels, way.sampler).cpu())
    noise = torch.cat(noises) / way.levels[0].c
    _tell_unusual(noise, given.names)
    if out:
        write_noise(out, noise, asked.found(opened, way, given.names))
    return noise


@torch.inference_mode()
@computing("float32")
def reconstruct(
    run: str | Path,
    noise: Tensor | npt.NDArray[Any] | str | Path,
    *,
    num_steps: int | None = None,
    sampler: str | None = None,
    spacing: str | None = None,
    classes: Sequence[int | str] | None = None,
    checkpoint: Choice | None = None,
    weights: Weights | None = None,
    out: Path | None = None,
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
    trust_plugins: bool = False,
) -> Tensor:
    """Draw images, uint8 (N, C, H, W), from the noise (N, C, H, W) that ``invert`` found.

    ``noise`` is a tensor, an array, or the file that ``invert`` wrote, which says how it was found:
    what is not given is as there, else as in ``invert``. ``out`` is a new file, ``….png``: the
    image, or a grid of several. InputError for noise of another shape, and for another model's.
    """
    out = check_new(out, ".png")
    opened = open_run(run, plugins=plugins, store=store, device=device, trust_plugins=trust_plugins)
    asked = _Asked(num_steps, sampler, spacing, classes, checkpoint, weights)
    if isinstance(noise, str | Path):
        noise, asked = _from_file(Path(noise).expanduser(), opened, asked)
    way = asked.way(opened)
    images = []
    for batch, denoise in way.batches(_checked(noise, way.model)):
        x = batch.to(way.model.device, torch.float32, memory_format=torch.channels_last)
        draws = Draws(0, "sample", range(len(x)))
        x0 = way.sampler(denoise, x * way.levels[0].c, way.levels, draws)
        images.append(way.model.decode(x0))
    drawn = torch.cat(images)
    if out:
        one = len(drawn) == 1
        picture = to_picture(drawn[0]) if one else draw_grid(drawn, fitted(len(drawn)))
        with replacing(out) as partial:
            partial.write_bytes(png(picture))
    return drawn


@dataclass(frozen=True)
class _Way:
    """Between images and noise, for a finished run."""

    model: Model
    sampler: Sampler
    spacing: Spacing
    levels: list[Rates[float]]
    labels: Labels | None
    batch_size: int

    def batches(self, x: Tensor) -> Iterator[tuple[Tensor, Denoise]]:
        """Each batch with the denoiser for its labels."""
        starts = range(0, len(x), self.batch_size)
        for start in track(starts, "batch", len(starts)):
            part = x[start : start + self.batch_size]
            rows = range(start, start + len(part))
            yield part, self.model.denoiser(self.labels.of(rows) if self.labels else None)


@dataclass(frozen=True)
class _Asked:
    """Which way is asked for; None is as usual."""

    num_steps: int | None
    sampler: str | Plain | None
    spacing: str | Plain | None
    classes: Sequence[int | str] | None
    checkpoint: Choice | None
    weights: Weights | None
    labels: Labels | None = None
    """Classes that are known already, where none are asked for."""

    def way(self, run: Run) -> _Way:
        """InputError for what the run's model cannot do."""
        num_steps = NUM_STEPS if self.num_steps is None else self.num_steps
        if num_steps < 1:
            raise InputError(f"num_steps is {num_steps}: should be 1 or more")
        check_conditioning(run.recipe["train"], self.classes, 1)
        model = run.model(self.checkpoint or "best", self.weights or "ema")
        recipe = run.checked_recipe
        spacing = recipe.sample.spacing
        if self.spacing:
            spacing = run.stage("spacing", self.spacing, "spacing")
        return _Way(
            model,
            _backwards(run, self.sampler),
            spacing,
            levels(model.schedule, num_steps, spacing),
            chosen_labels(self.classes, model.class_names or ()) if self.classes else self.labels,
            recipe.sample.batch_size,
        )

    def found(self, run: Run, way: _Way, images: Sequence[str]) -> Found:
        """How the noise of these images was found."""
        registry = run.session.registry
        return Found(
            run=run.name,
            model=run.record["artifacts"]["model"]["key"],
            checkpoint=self.checkpoint or "best",
            weights=self.weights or "ema",
            sampler=registry.spec(way.sampler),
            spacing=registry.spec(way.spacing),
            num_steps=len(way.levels) - 1,
            labels=way.labels.values if way.labels else None,
            images=tuple(images),
        )


def _from_file(file: Path, run: Run, asked: _Asked) -> tuple[Tensor, _Asked]:
    """The noise of a file, and what is not asked for as it was there. InputError where another
    model found it.
    """
    noise, found = read_noise(file)
    if found.model != run.record["artifacts"]["model"]["key"]:
        raise InputError(
            f"{file}: is noise of the model of run {found.run}, and that of {run.name} draws other "
            f"images from it: give {found.run}, or invert the images with {run.name}"
        )
    for name in ("checkpoint", "weights"):
        given, was = getattr(asked, name), getattr(found, name)
        if given not in (None, was):
            raise InputError(f"{file}: was found with {name} {was}; leave out --{name} {given}")
    labels = found.labels
    return noise, replace(
        asked,
        num_steps=found.num_steps if asked.num_steps is None else asked.num_steps,
        sampler=asked.sampler or found.sampler,
        spacing=asked.spacing or found.spacing,
        checkpoint=found.checkpoint,
        weights=found.weights,
        labels=None if labels is None else Labels(", ".join(map(str, labels)), labels),
    )


def _backwards(run: Run, given: str | Plain | None) -> Sampler:
    """The sampler that was asked for, or the recipe's. InputError if it cannot run backwards."""
    usual = run.checked_recipe.sample.sampler
    sampler: Sampler = run.stage("sampler", given, "sampler") if given else usual
    if sampler.order != 1:
        called = run.session.registry.name_of(sampler)
        order = "is random" if sampler.order is None else f"is of order {sampler.order}"
        raise InputError(
            f"sampler {called} {order} and cannot run backwards: give a deterministic one of first "
            "order with --sampler, such as ddim (`pipeline plugins` lists them)"
        )
    return sampler


def _checked(noise: object, model: Model) -> Tensor:
    """The noise as a tensor. InputError for another shape, and for what is no number."""
    values = torch.from_numpy(noise) if isinstance(noise, np.ndarray) else noise
    if not isinstance(values, Tensor) or values.shape[1:] != model.shape or not len(values):
        wanted = f"(N, {', '.join(map(str, model.shape))})"
        raise InputError(
            f"noise should be a tensor, an array or a file of {wanted}, got {got(noise)}"
        )
    if not values.isfinite().all():
        raise InputError("noise should be finite: some of it is not a number, or infinite")
    return values


def _tell_unusual(noise: Tensor, names: Sequence[str]) -> None:
    """Say which images have noise that the model never begins from."""
    squares = noise.flatten(1).square().mean(1).tolist()
    low, high = USUAL
    strange = [i for i, square in enumerate(squares) if not low <= square <= high]
    if strange:
        told = ", ".join(f"{names[i]} {squares[i]:.2f}" for i in strange[:3])
        more = f" and {len(strange) - 3} more" * (len(strange) > 3)
        note(
            f"the noise of {len(strange)} of {len(names)} images is far from unit variance "
            f"({told}{more}): images that this model draws come from noise of about 1. These come "
            "back, but changed noise may lead to no image; the model may need more training, or "
            "images like its own"
        )
