"""Training: the one thing that grows.

A *training* is a workspace of the store, keyed by all that shapes its trajectory: checkpoints by
step, and beside them what each way of validating found. A *model* is a choice from it (best and
last at a number of steps) and an ordinary artifact.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..diffusion.images import Images
from ..diffusion.model import save_model
from ..plugin.registry import Registry
from ..plugin.stage import options_of
from ..progress import note
from ..recipe.schema import Recipe
from ..store.manifest import key_of
from ..store.store import Artifact, Store
from ..training import checkpoint
from ..training.batches import Batches
from ..training.loop import Training, Watch
from ..training.validate import Measure
from .prepare import FILE

CHOICE = ("validate", "steps")
"""What a model's key has beyond its training's."""


def train(
    recipe: Recipe,
    registry: Registry,
    store: Store,
    prepared: Artifact,
    measures: Sequence[Measure],
    device: str,
    watch: Watch,
) -> Artifact:
    """The model of a recipe: reused, or trained from its last checkpoint on."""
    trajectory = trajectory_of(recipe, registry, prepared)
    checks = _checks(recipe, registry, measures)
    images = Images(prepared.path / FILE)
    batches = Batches(
        images.indices("train"), recipe.seed, recipe.train.batch_size, recipe.train.repeats
    )
    total = recipe.train.epochs * batches.per_epoch
    total = min(total, recipe.train.max_steps or total)

    def build(path: Path) -> None:
        with _training(store, trajectory, total) as folder:
            views = folder / "validations" / key_of("validate", checks)[:16]
            training = Training(recipe, registry, images, batches, measures, device, folder, views)
            choices = training.run(total, watch)
            save_model(path, recipe, registry, training.model, choices)
            shutil.copytree(views / "grids", path / "grids")
            shutil.copy(views / "history.jsonl", path)

    return store.get_or_build("model", {**trajectory, "validate": checks, "steps": total}, build)


def trajectory_of(recipe: Recipe, registry: Registry, prepared: Artifact) -> dict[str, Any]:
    """All that a step's weights depend on: not how long it goes on, nor how it is watched."""
    settings = recipe.train
    return {
        "schedule": registry.describe(recipe.schedule),
        "objective": registry.describe(recipe.objective),
        "backbone": registry.describe(recipe.backbone),
        "codec": registry.describe(recipe.codec),
        "augment": [registry.describe(stage) for stage in recipe.augment],
        "train": {
            "optimizer": registry.describe(settings.optimizer),
            "lr_schedule": registry.describe(settings.lr_schedule),
            "batch_size": settings.batch_size,
            "repeats": settings.repeats,
            "condition": settings.condition,
            "drop_label": settings.drops if settings.condition else None,
            "clip_gradients": settings.clip_gradients,
            "ema": options_of(settings.ema),
        },
        "seed": recipe.seed,
        "inputs": {"images": prepared.key},
    }


def _checks(recipe: Recipe, registry: Registry, measures: Sequence[Measure]) -> dict[str, Any]:
    """What the choice of the best checkpoint depends on beside the trajectory."""
    settings = recipe.train.validate
    return {
        "every": settings.every,
        "sampler": registry.describe(settings.sampler),
        "num_steps": settings.num_steps,
        "spacing": settings.spacing,
        "guidance_scale": settings.guidance_scale,
        "num_images": settings.num_images,
        "metrics": [registry.describe(measure.metric) for measure in measures],
        "extractors": [measure.extractor.id for measure in measures],
        "grid": settings.grid,
        "grid_num_steps": settings.grid_num_steps,
    }


@contextmanager
def _training(store: Store, trajectory: dict[str, Any], total: int) -> Iterator[Path]:
    """The folder to train in: the one that grows, unless it has already grown beyond ``total``."""
    with store.workspace("training", trajectory) as folder:
        if checkpoint.newest_step(folder) <= total:
            yield folder
            return
    note(f"this training has already gone beyond step {total}: trained again from the start")
    with store.workspace("training", {**trajectory, "ends": total}) as folder:
        yield folder
