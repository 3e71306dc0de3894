"""``pipeline import``: a model of diffusers as a run that everything here takes."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from ..diffusion.images import ImageFacts
from ..diffusion.model import model_of, save_model
from ..errors import InputError
from ..machine import machine
from ..plugin.registry import Registry
from ..recipe.load import Loaded, load
from ..recipe.show import recipe_as_yaml
from ..recipe.yaml12 import flow
from ..records import Plain, RunRecord
from ..store.checked import write_json
from ..store.folders import private, write_text
from ..store.weights import with_prefix
from ..system import fit
from .diffusers import PREDICTIONS, library
from .exported import IMAGE_FACTS, digests_in, part_record
from .layout import RECIPE, RUN
from .origin import all_versions
from .results import ImportResult

PIPELINES = ("DDPMPipeline", "DDIMPipeline")
KNOWN_BETAS = ("linear", "scaled_linear", "squaredcos_cap_v2")
OF_IMAGES = ("sample_size", "in_channels", "out_channels")
LEAST_SIGNAL = 1.5e-3
"""Beside noise: with less of it, a clean image cannot be told from predicted noise."""


def import_(folder: Path, out: Path) -> ImportResult:
    """Make a run of a ``DDPMPipeline`` or ``DDIMPipeline`` of diffusers, in the new folder ``out``.

    It is as ``export`` leaves runs: every command takes it, and ``train.init`` trains it on. The
    folder holds ``model_index.json``, ``unet/`` and ``scheduler/``. Nothing in it is run as code.
    InputError where it is no such pipeline, or of a kind that is not known here.
    """
    folder, out = folder.expanduser(), out.expanduser()
    if out.exists() or out.is_symlink():
        raise InputError(f"{out} is there already: take another name")
    diffusers = library()
    index = _json(folder / "model_index.json")
    if index.get("_class_name") not in PIPELINES:
        raise InputError(
            f"{folder}: is a {index.get('_class_name')}; only {' and '.join(PIPELINES)} of "
            "UNet2DModel are known"
        )
    config = _json(folder / "unet/config.json")
    betas = _json(folder / "scheduler/scheduler_config.json")
    _check(folder / "unet/config.json", config)
    unet = _read(diffusers, folder / "unet")
    schedule = _schedule(diffusers, betas)
    registry = Registry.load([])
    with private(out) as made:
        text = _recipe(out.name, config, betas, schedule)
        (made / RECIPE).write_text(text, encoding="utf-8")
        loaded = load(made / RECIPE, registry=registry, name=fit(out.name))
        write_text(made / RECIPE, recipe_as_yaml(loaded))
        _save(made / "model", loaded, registry, unet)
        command = f"pipeline import {shlex.quote(str(folder))} {shlex.quote(str(out))}"
        record = _record(made, loaded, registry, unet, command)
        write_json(made / RUN, dict(record))
    return {
        "run": record["name"],
        "path": str(out),
        "parameters": record["parameters"],
        "preprocess": record["recipe"]["preprocess"],
    }


def _json(file: Path) -> Plain:
    try:
        return cast("Plain", json.loads(file.read_text("utf-8")))
    except FileNotFoundError as error:
        raise InputError(f"{file}: is missing; give what save_pretrained wrote") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error


def _check(file: Path, config: Plain) -> None:
    """InputError for a network of which something would be left out."""
    if config.get("_class_name") != "UNet2DModel":
        raise InputError(f"{file}: is a {config.get('_class_name')}, no UNet2DModel")
    size = config.get("sample_size")
    wrong = {
        "a class embedding": config.get("class_embed_type") or config.get("num_class_embeds"),
        "timesteps that are not positional": config.get("time_embedding_type") != "positional",
        "other channels out than in": config["in_channels"] != config["out_channels"],
        "channels that are neither 1 nor 3": config["in_channels"] not in (1, 3),
        "no sample_size": not size,
    }
    if found := [what for what, is_so in wrong.items() if is_so]:
        raise InputError(f"{file}: has {', '.join(found)}, which is not known here")


def _read(diffusers: Any, folder: Path) -> nn.Module:
    try:
        read = diffusers.UNet2DModel.from_pretrained(
            folder, local_files_only=True, torch_dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{folder}: cannot be read: {str(error).splitlines()[0]}") from error
    return cast("nn.Module", read.eval())


def _schedule(diffusers: Any, config: Plain) -> Plain:
    """The stage with these betas, as far as a clean image can be told there."""
    steps = config["num_train_timesteps"]
    made = diffusers.DDPMScheduler.from_config(config)
    signal = made.alphas_cumprod.double()
    seen = (signal / (1 - signal)).sqrt() > LEAST_SIGNAL
    used = int(seen.sum()) if config.get("prediction_type", "epsilon") == "epsilon" else steps
    given = config.get("beta_schedule", "linear")
    plain = not config.get("trained_betas") and not config.get("rescale_betas_zero_snr")
    betas = given if plain and given in KNOWN_BETAS else made.betas.tolist()
    found = {"name": "ddpm", "betas": betas, "steps": steps}
    if betas in ("linear", "scaled_linear"):
        found |= {"beta_start": config["beta_start"], "beta_end": config["beta_end"]}
    return {**found, "used": used} if used < steps else found


def _recipe(name: str, config: Plain, scheduler: Plain, schedule: Plain) -> str:
    """A recipe that draws as the model was made to, and trains it on with photos."""
    _, height, width = _shape(config)
    gray = [{"name": "greyscale"}] if config["in_channels"] == 1 else []
    meant = {theirs: ours for ours, theirs in PREDICTIONS.items()}
    options = {k: v for k, v in config.items() if not k.startswith("_") and k not in OF_IMAGES}
    crop = {"name": "center_crop", "aspect": width / height}
    resize = {"name": "resize", "size": [height, width]}
    count = schedule.get("used") or schedule["steps"]
    given: dict[str, object] = {
        "name": fit(name),
        "dataset": {"name": "image_folder", "root": "photos"},
        "preprocess": [*gray, crop, resize],
        "codec": {"name": "pixels", "to": "range"},
        "schedule": schedule,
        "objective": {
            "name": "denoising",
            "prediction": meant[scheduler.get("prediction_type", "epsilon")],
            "loss": "mse",
        },
        "backbone": {
            "name": "diffusers_unet2d",
            "config": {k: v for k, v in options.items() if v is not None},
            "schedule": schedule,
            "timesteps": count,
        },
        "train": {"optimizer": {"name": "adamw", "lr": 1e-4}, "batch_size": 16},
        "sample": {"sampler": "ddim", "num_steps": 50, "num_images": 16, "grid": [4, 4]},
    }
    return "".join(f"{key}: {flow(value)}\n" for key, value in given.items())


def _save(folder: Path, loaded: Loaded, registry: Registry, unet: nn.Module) -> None:
    """The model, as a training leaves it, and that nothing is known of images."""
    shape = _shape(cast("Any", unet).config)
    facts = ImageFacts(shape, np.empty(0, np.int64), np.empty(0, np.bool_), [])
    network = loaded.recipe.backbone(facts.shape, None)
    network.load_state_dict(with_prefix("unet", unet.state_dict()))
    codec = loaded.recipe.codec.fit([torch.zeros(1, *facts.shape, dtype=torch.uint8)])
    model = model_of(loaded.recipe, network, codec, facts.shape, "cpu", None)
    folder.mkdir()
    chosen = {"best": (with_prefix("ema", network.state_dict()), {"step": 0})}
    save_model(folder, loaded.recipe, registry, model, cast("Any", chosen), {"stretches": []})
    write_json(folder / IMAGE_FACTS, facts.plain())


def _shape(config: Plain) -> tuple[int, int, int]:
    """(C, H, W) of the images that a network with this config makes."""
    size = config["sample_size"]
    height, width = (size, size) if isinstance(size, int) else size
    return config["in_channels"], height, width


def _record(
    folder: Path, loaded: Loaded, registry: Registry, unet: nn.Module, command: str
) -> RunRecord:
    files = digests_in(folder)
    model = part_record("model", files)
    return {
        "name": loaded.recipe.name,
        "recipe": loaded.data,
        "store": ".",
        "artifacts": {"model": model},
        "scores": {},
        "metrics": {},
        "parameters": sum(p.numel() for p in unet.parameters()),
        "selection": {
            "checkpoint": "best",
            "step": 0,
            "chosen_by": {"name": "imported", "value": 0.0},
            "fresh": {},
        },
        "diagnosis": [],
        "device": "cpu",
        "machine": machine("cpu"),
        "plugins": [],
        "command": command,
        "versions": all_versions(loaded.recipe, registry),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": files,
        "exported": {"model": model["key"], "weights": ["ema"], "dtype": "float32"},
    }
