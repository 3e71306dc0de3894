"""Inversion: from images back to the noise that they would be drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL.Image import Image
from torch import Tensor

from ..artifacts.prepare import preprocessed
from ..diffusion.labels import Labels, chosen_labels
from ..diffusion.levels import levels
from ..diffusion.model import Choice, Model, Weights, load_model
from ..diffusion.upwards import upwards
from ..errors import InputError
from ..machine import choose_device
from ..plugin.contracts import Denoise, Rates, Sampler
from ..plugin.draws import Draws
from ..plugin.registry import Registry
from ..progress import track
from ..recipe.build import build_stage
from ..recipe.schema import Spacing
from .evaluate import recipe_of_run
from .folder import plugins_of, read_run, store_of
from .sample import check_conditioning


class _Way(NamedTuple):
    """Between images and noise, for a finished run."""

    model: Model
    ddim: Sampler
    steps: list[Rates[float]]
    labels: Labels | None
    preprocess: Sequence[Any]
    batch_size: int

    def batches(self, x: Tensor) -> Iterator[tuple[Tensor, Denoise]]:
        """Each with the denoiser for its labels."""
        starts = range(0, len(x), self.batch_size)
        for start in track(starts, "batch", len(starts)):
            part = x[start : start + self.batch_size]
            rows = range(start, start + len(part))
            yield part, self.model.denoiser(self.labels.of(rows) if self.labels else None)


@torch.inference_mode()
def invert(run: str | Path, images: Tensor | Sequence[Path | Image], **options: Any) -> Tensor:
    """The noise, float32 (N, C, H, W), from which DDIM draws these images.

    DDIM (Song et al. 2021, https://arxiv.org/abs/2010.02502, section 4.3) run backwards: each step
    takes the noise that the network sees at its cleaner end. The first one, from the image to the
    lowest level, is the fixed point x = signal * image + noise * eps(x) instead, since at the clean
    level there is no noise to be seen. ``reconstruct`` goes forth again; the error of the round
    trip falls as ``num_steps`` grows.

    ``images`` are uint8 (N, C, H, W) of the run's size, or files and pictures, which are
    preprocessed as the run's. Options, of ``reconstruct`` too: ``num_steps`` (50), ``spacing``
    (the recipe's), ``classes`` (of the images in turn, by number or name; none: no class),
    ``checkpoint``, ``weights``, ``plugins``, ``store``, ``device``. InputError for other images.
    """
    way = _way(run, **options)
    noises = []
    for batch, denoise in way.batches(_pixels(way, images)):
        x0 = way.model.encode(batch)
        noises.append(upwards(denoise, x0, way.steps, way.ddim).cpu())
    return torch.cat(noises) / way.steps[0].c


@torch.inference_mode()
def reconstruct(run: str | Path, noise: Tensor, **options: Any) -> Tensor:
    """The images uint8 (N, C, H, W) that DDIM draws from this noise, (N, C, H, W); as ``invert``.

    InputError for noise of another shape.
    """
    way = _way(run, **options)
    if not isinstance(noise, Tensor) or noise.shape[1:] != way.model.shape or not len(noise):
        raise InputError(f"noise should be a tensor {_wanted(way.model)}, got {_told(noise)}")
    made = []
    for batch, denoise in way.batches(noise):
        x = batch.to(way.model.device, torch.float32, memory_format=torch.channels_last)
        draws = Draws(0, "sample", range(len(x)))
        made.append(way.model.decode(way.ddim(denoise, x * way.steps[0].c, way.steps, draws)))
    return torch.cat(made)


def _way(
    run: str | Path,
    *,
    num_steps: int = 50,
    spacing: Spacing | None = None,
    classes: Sequence[int | str] | None = None,
    checkpoint: Choice = "best",
    weights: Weights = "ema",
    plugins: Sequence[Path] = (),
    store: Path | None = None,
    device: str = "auto",
) -> _Way:
    if num_steps < 1:
        raise InputError(f"num_steps is {num_steps}: should be 1 or more")
    about = read_run(Path(run))
    check_conditioning(about["recipe"]["train"], classes, 1)
    registry = Registry.load(plugins)
    with plugins_of(about, plugins):
        recipe = recipe_of_run(about, registry)
        kept = store_of(about, store).open("model", about["artifacts"]["model"]["key"])
        model = load_model(kept.path, registry, choose_device(device), checkpoint, weights)
    return _Way(
        model,
        build_stage(registry, "sampler", "ddim"),
        levels(model.schedule, num_steps, spacing or recipe.sample.spacing),
        chosen_labels(classes, model.class_names or ()) if classes else None,
        recipe.preprocess,
        recipe.sample.batch_size,
    )


def _pixels(way: _Way, images: Tensor | Sequence[Path | Image]) -> Tensor:
    """uint8 (N, C, H, W)."""
    if isinstance(images, (list, tuple)):
        images = [Path(image) if isinstance(image, str) else image for image in images]
        made = [torch.from_numpy(preprocessed(image, way.preprocess)) for image in images]
        if len({one.shape for one in made}) > 1:
            raise InputError("after preprocessing, the images have different sizes")
        images = torch.stack(made) if made else torch.empty(0)
    if (
        not isinstance(images, Tensor)
        or images.dtype != torch.uint8
        or images.shape[1:] != way.model.shape
        or not len(images)
    ):
        raise InputError(
            f"images should be uint8 {_wanted(way.model)}, or a list of files and pictures, "
            f"got {_told(images)}"
        )
    return images


def _told(given: object) -> str:
    if isinstance(given, Tensor):
        return f"{given.dtype} {tuple(given.shape)}"
    return f"a {type(given).__name__}"


def _wanted(model: Model) -> str:
    return f"(N, {', '.join(map(str, model.shape))})"
