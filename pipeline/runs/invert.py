"""Inversion: from images back to the noise that they would be drawn from, and forth again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL.Image import Image
from torch import Tensor

from ..artifacts.prepare import preprocessed
from ..diffusion.labels import Labels, chosen_labels
from ..diffusion.levels import levels
from ..diffusion.model import Choice, Model, Weights
from ..diffusion.upwards import upwards
from ..errors import InputError
from ..plugin.contracts import Denoise, Sampler
from ..plugin.data import Preprocessor
from ..plugin.draws import Draws
from ..plugin.values import Rates
from ..progress import track
from .drawing import check_conditioning
from .finished import Run, open_run


@torch.inference_mode()
def invert(
    run: str | Path,
    images: Tensor | Sequence[str | Path | Image],
    *,
    num_steps: int = 50,
    sampler: str | None = None,
    spacing: str | None = None,
    classes: Sequence[int | str] | None = None,
    checkpoint: Choice = "best",
    weights: Weights = "ema",
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
) -> Tensor:
    """Find the noise, float32 (N, C, H, W), from which a run's model draws these images.

    The sampler runs backwards (``diffusion/upwards.py``), so it is deterministic and of first
    order, as DDIM is: the recipe's own, or ``sampler``. ``reconstruct`` goes forth again; the error
    of the round trip falls as ``num_steps`` grows.

    ``images`` are uint8 (N, C, H, W) of the run's size, or files and pictures, which are
    preprocessed as the run's. ``spacing`` is the recipe's unless given. ``classes`` go by number or
    name, image i is of the i-th in turn; without them images are of no class. InputError for other
    images, and for a sampler that cannot run backwards.
    """
    way = _way(
        open_run(run, plugins=plugins, store=store, device=device),
        (sampler, spacing), num_steps, classes, checkpoint, weights,
    )  # fmt: skip
    noises = []
    for batch, denoise in way.batches(_pixels(way, images)):
        x0 = way.model.encode(batch)
        noises.append(upwards(denoise, x0, way.levels, way.sampler).cpu())
    return torch.cat(noises) / way.levels[0].c


@torch.inference_mode()
def reconstruct(
    run: str | Path,
    noise: Tensor,
    *,
    num_steps: int = 50,
    sampler: str | None = None,
    spacing: str | None = None,
    classes: Sequence[int | str] | None = None,
    checkpoint: Choice = "best",
    weights: Weights = "ema",
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
) -> Tensor:
    """Draw images, uint8 (N, C, H, W), from the noise (N, C, H, W) that ``invert`` found.

    The options are those of ``invert``. InputError for noise of another shape.
    """
    way = _way(
        open_run(run, plugins=plugins, store=store, device=device),
        (sampler, spacing), num_steps, classes, checkpoint, weights,
    )  # fmt: skip
    if not isinstance(noise, Tensor) or noise.shape[1:] != way.model.shape or not len(noise):
        raise InputError(f"noise should be a tensor {_wanted(way.model)}, got {_got(noise)}")
    images = []
    for batch, denoise in way.batches(noise):
        x = batch.to(way.model.device, torch.float32, memory_format=torch.channels_last)
        draws = Draws(0, "sample", range(len(x)))
        x0 = way.sampler(denoise, x * way.levels[0].c, way.levels, draws)
        images.append(way.model.decode(x0))
    return torch.cat(images)


@dataclass(frozen=True)
class _Way:
    """Between images and noise, for a finished run."""

    model: Model
    sampler: Sampler
    levels: list[Rates[float]]
    labels: Labels | None
    preprocess: Sequence[Preprocessor]
    batch_size: int

    def batches(self, x: Tensor) -> Iterator[tuple[Tensor, Denoise]]:
        """Each batch with the denoiser for its labels."""
        starts = range(0, len(x), self.batch_size)
        for start in track(starts, "batch", len(starts)):
            part = x[start : start + self.batch_size]
            rows = range(start, start + len(part))
            yield part, self.model.denoiser(self.labels.of(rows) if self.labels else None)


def _way(
    run: Run,
    stages: tuple[str | None, str | None],
    num_steps: int,
    classes: Sequence[int | str] | None,
    checkpoint: Choice,
    weights: Weights,
) -> _Way:
    """``stages`` are the sampler and the spacing that were asked for."""
    if num_steps < 1:
        raise InputError(f"num_steps is {num_steps}: should be 1 or more")
    check_conditioning(run.recipe["train"], classes, 1)
    recipe, model = run.checked_recipe, run.model(checkpoint, weights)
    sampler, spacing = stages
    return _Way(
        model,
        _backwards(run, sampler),
        levels(
            model.schedule,
            num_steps,
            run.stage("spacing", spacing, "spacing") if spacing else recipe.sample.spacing,
        ),
        chosen_labels(classes, model.class_names or ()) if classes else None,
        recipe.preprocess,
        recipe.sample.batch_size,
    )


def _backwards(run: Run, name: str | None) -> Sampler:
    """The sampler that was asked for, or the recipe's. InputError if it cannot run backwards."""
    usual = run.checked_recipe.sample.sampler
    sampler: Sampler = run.stage("sampler", name, "sampler") if name else usual
    if sampler.order != 1:
        called = run.session.registry.name_of(sampler)
        order = "is random" if sampler.order is None else f"is of order {sampler.order}"
        raise InputError(
            f"sampler {called} {order} and cannot run backwards: give a deterministic one of first "
            "order with sampler=… (`pipeline plugins` lists them)"
        )
    return sampler


def _pixels(way: _Way, images: Tensor | Sequence[str | Path | Image]) -> Tensor:
    """The images as uint8 (N, C, H, W)."""
    if isinstance(images, (list, tuple)):
        pictures = [Path(image) if isinstance(image, str) else image for image in images]
        arrays = [torch.from_numpy(preprocessed(image, way.preprocess)) for image in pictures]
        if len({array.shape for array in arrays}) > 1:
            raise InputError("after preprocessing, the images have different sizes")
        images = torch.stack(arrays) if arrays else torch.empty(0)
    if (
        not isinstance(images, Tensor)
        or images.dtype != torch.uint8
        or images.shape[1:] != way.model.shape
        or not len(images)
    ):
        raise InputError(
            f"images should be uint8 {_wanted(way.model)}, or a list of files and pictures, "
            f"got {_got(images)}"
        )
    return images


def _got(given: object) -> str:
    if isinstance(given, Tensor):
        return f"{given.dtype} {tuple(given.shape)}"
    return f"a {type(given).__name__}"


def _wanted(model: Model) -> str:
    return f"(N, {', '.join(map(str, model.shape))})"
