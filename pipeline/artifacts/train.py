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
from tempfile import TemporaryDirectory

import torch

from ..diffusion.lengths import copy_snapshots, missing_snapshot
from ..diffusion.model import save_model
from ..machine import reusing_memory
from ..plugin.contracts import Features, Metric
from ..plugin.registry import Registry
from ..progress import note
from ..recipe.schema import Recipe
from ..records import HISTORY, Plain, TrainingRecord
from ..store.manifest import MANIFEST, key_of
from ..store.store import Artifact, Store
from ..store.weights import is_whole, read_state
from ..training import checkpoint
from ..training.batches import training_batches
from ..training.history import check_kept_grids, kept_records
from ..training.init import Init, record_of
from ..training.loop import Training, Watch
from ..training.validate import Measure
from .encode import read_encoded
from .session import Session
from .trajectory import trajectory_of


def train(
    recipe: Recipe,
    encoded: Artifact,
    measures: Sequence[Measure],
    watch: Watch,
    session: Session,
    init: Init | None = None,
) -> Artifact:
    """The model of a recipe: reused, or trained from its last checkpoint on.

    ``encoded`` is what ``encode`` gave. ``init`` is what its first step begins with; None: new
    weights.
    """
    digest = init.digest if init else None
    trajectory = trajectory_of(recipe, session.registry, encoded, digest)
    choice = _choice(recipe, session.registry, measures)
    reader = read_encoded(encoded)
    settings = recipe.train
    batches = training_batches(reader.indices("train"), recipe.seed, settings)
    steps = settings.steps(batches.per_epoch)
    ingredients = {**trajectory, "validate": choice, "steps": steps}

    def build(folder: Path) -> None:
        every = settings.validate.every.in_steps(batches.per_epoch)
        snapshots = settings.ema.snapshot_every
        kept = snapshots.in_steps(batches.per_epoch) if snapshots else 0
        found = _workspace(session.store, trajectory, choice, every, kept, steps)
        with found as (workspace, views, apart):
            registry, device = session.registry, session.device
            measured = [(measure.name, measure.metric, measure.features) for measure in measures]
            with session.sharing(_train_along, recipe, encoded, measured), reusing_memory():
                training = Training(
                    recipe, reader, batches, measures, registry, device, workspace, views, init
                )
                choices = training.run(steps, watch)
            record = TrainingRecord(stretches=training.stretches)
            if init:
                record["init"] = record_of(init, recipe, training.model)
            if apart:
                record["apart"] = f"a training of these steps {apart}"
            save_model(folder, recipe, registry, training.model, choices, record)
            if training.lengths:
                copy_snapshots(workspace, folder, before=training.step)
                training.lengths.save(folder, training.step)  # also where none was due
            shutil.copytree(views / "grids", folder / "grids")
            shutil.copy(views / HISTORY, folder)

    return session.store.get_or_build("model", ingredients, build)


def _train_along(
    session: Session,
    recipe: Recipe,
    encoded: Artifact,
    measured: Sequence[tuple[str, Metric, Features]],
) -> None:
    """Train on a rank other than 0, beginning with the weights that rank 0 has."""
    reader = read_encoded(encoded)
    batches = training_batches(reader.indices("train"), recipe.seed, recipe.train)
    measures = [
        Measure(name, metric, session.extractor(features), torch.empty(0), features)
        for name, metric, features in measured
    ]
    with TemporaryDirectory() as folder, reusing_memory():
        place, registry, device = Path(folder), session.registry, session.device
        training = Training(recipe, reader, batches, measures, registry, device, place, place)
        training.run(recipe.train.steps(batches.per_epoch), lambda _: None)


def _choice(recipe: Recipe, registry: Registry, measures: Sequence[Measure]) -> Plain:
    """What the choice of the best checkpoint depends on beside the trajectory."""
    settings = recipe.train.validate
    guidance = registry.describe(settings.guidance)
    return {
        "every": settings.every,
        "sampler": registry.describe(settings.sampler),
        "num_steps": settings.num_steps,
        "spacing": registry.describe(settings.spacing),
        "guidance_scale": settings.guidance_scale,
        **({"guidance": guidance} if settings.guidance_scale != 1 else {}),
        "num_images": settings.num_images,
        "metrics": [registry.describe(measure.metric) for measure in measures],
        "extractors": [measure.extractor.id for measure in measures],
        "grid": settings.grid,
        "grid_num_steps": settings.grid_num_steps,
        **({"max_batches": settings.max_batches} if settings.max_batches else {}),
    }


@contextmanager
def _workspace(
    store: Store, trajectory: Plain, choice: Plain, every: int, snapshots: int, steps: int
) -> Iterator[tuple[Path, Path, str]]:
    """The folder to train in, in it that of this way to validate, and why it is another one.

    It is the training that grows, where going on gives what a training from the start would give:
    history, best weights and all. Otherwise the training is made again, in a folder of its own.
    """
    others: list[Plain] = [{}, {"validate": choice}, {"validate": choice, "ends": steps}]
    apart = ""
    for other in others:
        with store.workspace("training", {**trajectory, **other}, _how_far) as folder:
            views = folder / "validations" / key_of("validate", choice)[:16]
            if hindrance := _hindrance(folder, views, every, snapshots, steps):
                note(f"this training {hindrance}: trained again from the start")
            if hindrance and other is others[-1]:
                for old in folder.iterdir():  # nothing else goes on from here
                    if old.name != MANIFEST:
                        shutil.rmtree(old) if old.is_dir() else old.unlink()
            if not hindrance or other is others[-1]:
                yield folder, views, apart
                return
            apart = apart or hindrance


def _how_far(folder: Path) -> int:
    return int(checkpoint.newest(folder)["step"])


def _hindrance(folder: Path, views: Path, every: int, snapshots: int, steps: int) -> str:
    """Why going on from the last checkpoint would not give what the start gives; "" if it would."""
    kept = checkpoint.newest(folder)
    step = kept["step"]
    if step > steps:
        return f"has already gone beyond step {steps}"
    try:
        validated = {record.step for record in kept_records(views)}
        check_kept_grids(views)
    except ValueError as error:
        return f"cannot go on ({error})"
    if validated & set(range(every, step + 1, every)):
        if not is_whole(views / "best"):
            return f"cannot go on ({views / 'best'} is damaged)"
        if read_state(views / "best")["record"]["step"] > steps:
            return f"has already gone beyond step {steps}"
    if lost := missing_snapshot(folder, snapshots, step):
        return f"cannot go on (its snapshot of step {lost} is missing or damaged)"
    missing = set(range(every, step, every)) - validated
    # Losses are summed from one validation to the next: these sums must begin at our last one.
    begun = step - kept["losses"]["count"] if step else -every
    due = step % every == 0
    if missing or (not (due and step in validated) and begun != (step - 1) // every * every):
        return f"was validated in another way until step {step}"
    return ""
