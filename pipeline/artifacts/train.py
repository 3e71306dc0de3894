"""Training: the one thing that grows.

A *training* is a workspace of the store, keyed by all that shapes its trajectory: checkpoints by
step, and beside them what each way of validating measured. A *model* is a choice from it (best and
last at a number of steps) and an ordinary artifact.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..diffusion.model import save_model
from ..plugin.registry import Registry
from ..progress import note
from ..recipe.schema import Recipe
from ..records import Plain
from ..store.manifest import key_of
from ..store.store import Artifact, Store
from ..training import checkpoint
from ..training.batches import Batches
from ..training.loop import Training, Watch
from ..training.validate import Measure
from .prepare import read_images
from .session import Session
from .trajectory import trajectory_of


def train(
    recipe: Recipe, images: Artifact, measures: Sequence[Measure], watch: Watch, session: Session
) -> Artifact:
    """The model of a recipe: reused, or trained from its last checkpoint on."""
    trajectory = trajectory_of(recipe, session.registry, images)
    choice = _choice(recipe, session.registry, measures)
    reader = read_images(images)
    settings = recipe.train
    batches = Batches(reader.indices("train"), recipe.seed, settings.batch_size, settings.repeats)
    steps = settings.steps(batches.per_epoch)
    ingredients = {**trajectory, "validate": choice, "steps": steps}

    def build(folder: Path) -> None:
        with _workspace(session.store, trajectory, steps) as workspace:
            views = workspace / "validations" / key_of("validate", choice)[:16]
            registry, device = session.registry, session.device
            training = Training(
                recipe, reader, batches, measures, registry, device, workspace, views
            )
            choices = training.run(steps, watch)
            save_model(folder, recipe, session.registry, training.model, choices)
            shutil.copytree(views / "grids", folder / "grids")
            shutil.copy(views / "history.jsonl", folder)

    return session.store.get_or_build("model", ingredients, build)


def _choice(recipe: Recipe, registry: Registry, measures: Sequence[Measure]) -> Plain:
    """What the choice of the best checkpoint depends on beside the trajectory."""
    settings = recipe.train.validate
    return {
        "every": settings.every,
        "sampler": registry.describe(settings.sampler),
        "num_steps": settings.num_steps,
        "spacing": registry.describe(settings.spacing),
        "guidance_scale": settings.guidance_scale,
        "num_images": settings.num_images,
        "metrics": [registry.describe(measure.metric) for measure in measures],
        "extractors": [measure.extractor.id for measure in measures],
        "grid": settings.grid,
        "grid_num_steps": settings.grid_num_steps,
    }


@contextmanager
def _workspace(store: Store, trajectory: Plain, steps: int) -> Iterator[Path]:
    """The folder to train in: the one that grows, unless it has already grown beyond ``steps``."""
    with store.workspace("training", trajectory) as folder:
        if checkpoint.newest_step(folder) <= steps:
            yield folder
            return
    note(f"this training has already gone beyond step {steps}: trained again from the start")
    with store.workspace("training", {**trajectory, "ends": steps}) as folder:
        yield folder
