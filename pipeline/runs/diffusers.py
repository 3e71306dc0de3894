"""``pipeline export --to diffusers``: a run as a folder that diffusers draws from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..diffusion.generate import SampleRequest, generate
from ..diffusion.model import Model
from ..errors import Failed, InputError
from ..plugin.contracts import ForDiffusers
from ..plugin.draws import Draws
from ..plugin.registry import Registry
from ..plugin.values import Rates
from ..recipe.build import build_stage
from ..store.folders import private
from .finished import Run

if TYPE_CHECKING:
    from diffusers import DDIMPipeline

STEPS = 1000
"""diffusers' timesteps: i is our time (i + 1) / 1000."""
TRIED = 4
"""The steps in which a picture is drawn by both before anything is written."""
TOLERANCE = 1 + 1e-3
"""How far two pictures may be apart, in levels of 255; halves are rounded to either side."""
PREDICTIONS = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}


def library() -> Any:
    """The package diffusers; InputError where it is not installed."""
    try:
        import diffusers
    except ImportError as error:
        raise InputError(
            "diffusers is not installed: pip install 'diffusion-pipeline[diffusers]'"
        ) from error
    return diffusers


def write_diffusers(run: Run, out: Path) -> None:
    """Write the averaged network of the best checkpoint as a ``DDIMPipeline``, and try it.

    It draws what ``sample`` draws by DDIM with uniform spacing at numbers of steps that divide
    1,000, from the same noise. InputError for what diffusers has no words for.
    """
    diffusers = library()
    model = run.model()
    spec = run.recipe["objective"]
    rates = _rates(model, run.name)
    if spec["name"] != "denoising":
        raise InputError(
            f"{run.name}: diffusers has no pipeline for the objective {spec['name']}, "
            "only for denoising"
        )
    if not isinstance(model.network, ForDiffusers):
        raise InputError(
            f"{run.name}: the backbone {run.recipe['backbone']['name']} has no to_diffusers(); "
            "unet2d has"
        )
    if model.class_names is not None:
        raise InputError(f"{run.name}: knows classes, which DDIMPipeline does not")
    _check_pixels(model, run)
    signal = rates.signal**2
    before = torch.cat([torch.ones(1, dtype=torch.float64), signal[:-1]])
    scheduler = diffusers.DDIMScheduler(
        num_train_timesteps=STEPS,
        trained_betas=(1 - signal / before).tolist(),
        prediction_type=PREDICTIONS[spec["prediction"]],
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )
    made = diffusers.DDIMPipeline(model.network.to_diffusers(rates), scheduler)
    _compare(model, made, run.session.registry)
    with private(out) as folder:
        made.save_pretrained(folder)


def _rates(model: Model, name: str) -> Rates[Tensor]:
    """The rates of diffusers' timesteps, float64 (1000,)."""
    rates = model.schedule(torch.arange(1, STEPS + 1, dtype=torch.float64) / STEPS)
    if not bool(((rates.signal**2 + rates.noise**2 - 1).abs() < 1e-6).all()):
        raise InputError(
            f"{name}: diffusers' DDIM wants a schedule with signal² + noise² = 1, such as cosine"
        )
    return rates


def _check_pixels(model: Model, run: Run) -> None:
    state = model.codec_state
    fits = set(state) == {"mean", "std"} and all((v == 0.5).all() for v in state.values())
    if run.recipe["codec"]["name"] != "pixels" or not fits:
        raise InputError(
            f"{run.name}: diffusers' pipelines know images in -1…1 alone; train with "
            "--set 'codec={name: pixels, to: range}'"
        )


def drawn_there(pipe: DDIMPipeline, noise: Tensor, num_steps: int) -> Tensor:
    """The images that diffusers draws from this noise, (N, C, H, W), 0…255 before rounding."""
    x = noise
    pipe.scheduler.set_timesteps(num_steps)
    with torch.inference_mode():
        for step in pipe.scheduler.timesteps:
            x = pipe.scheduler.step(pipe.unet(x, step).sample, step, x, eta=0.0).prev_sample
    return (x / 2 + 0.5).clamp(0, 1) * 255


def _compare(model: Model, pipe: DDIMPipeline, registry: Registry) -> None:
    """Failed unless diffusers draws a picture that is ours."""
    request = SampleRequest(
        sampler=build_stage(registry, "sampler", {"name": "ddim"}),
        spacing=build_stage(registry, "spacing", {"name": "uniform"}),
        guidance=build_stage(registry, "guidance", {"name": "classifier_free"}),
        num_steps=TRIED,
        num_images=1,
        seed=0,
    )
    [ours] = generate(model, request, [0])
    noise = Draws(0, "sample", [0]).normal(torch.empty(1, *model.shape))
    away = float((drawn_there(pipe, noise, TRIED) - ours).abs().max())
    if not away <= TOLERANCE:
        raise Failed(f"diffusers draws another picture, by up to {away:.3g} of 255 levels")
