"""A run that has not finished, at its newest checkpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..artifacts.encode import encode, read_encoded
from ..artifacts.prepare import prepare
from ..artifacts.session import Session
from ..artifacts.trajectory import trajectory_of
from ..diffusion.model import build_network, model_facts, model_of, save_model
from ..errors import InputError
from ..machine import choose_device, machine, versions
from ..plugin.registry import Registry
from ..progress import note
from ..recipe.load import load
from ..records import ArtifactRecord, Plain, RunRecord, TrainingRecord, read_history
from ..store.manifest import key_of
from ..store.place import open_store
from ..store.store import Artifact
from ..store.turns import newest_turn
from ..store.weights import without_prefix
from ..training import checkpoint
from ..training.batches import training_batches
from .finished import Run
from .init import init_of
from .layout import RECIPE
from .metrics import directions

KIND = "snapshot"
"""Of the artifact: a model as training left it."""


def unfinished_run(folder: Path, plugins: Sequence[Path], store: Path | None, device: str) -> Run:
    """The run with the model of its newest checkpoint as best and as last.

    InputError where there is no checkpoint yet. The checkpoint is copied into the store, and the
    training, which may be going on, is not disturbed.
    """
    registry = Registry.load(plugins)
    loaded = load(folder / RECIPE, registry=registry)
    recipe = loaded.recipe
    session = Session(registry, open_store(store), choose_device(device))
    init = init_of(recipe, registry, session.store.root, folder)
    images = prepare(recipe, session)
    encoded = encode(recipe, images, session, init)
    trajectory = trajectory_of(recipe, registry, encoded, init.digest if init else None)
    key = key_of("training", trajectory)
    found = newest_turn(session.store.root / "workspaces/training" / key)
    kept = checkpoint.latest(found) if found else None
    if kept is None:
        raise InputError(
            f"{folder}: this run has not finished and has no checkpoint yet; "
            "run its recipe again to go on"
        )
    tensors, state = kept
    step, reader = int(state["step"]), read_encoded(encoded)
    total = recipe.train.steps(
        training_batches(reader.indices("train"), recipe.seed, recipe.train).per_epoch
    )
    note(f"{folder.name} has not finished: its model is that of step {step:,} of {total:,}")
    last: Plain = next((r.flat() for r in reversed(read_history(folder))), {"step": step})

    def build(path: Path) -> None:
        names = tuple(reader.class_names) if recipe.train.condition else None
        network = build_network(recipe, reader.shape, names, "cpu")
        codec = without_prefix("codec", tensors)
        model = model_of(recipe, network, codec, reader.image_shape, "cpu", names)
        weights = {n: t for n, t in tensors.items() if n.startswith(("raw.", "ema."))}
        both = (weights, last)
        training = TrainingRecord(stretches=[])
        save_model(path, recipe, registry, model, {"best": both, "last": both}, training)

    ingredients = {"training": key, "step": step}
    model = session.store.get_or_build(KIND, ingredients, build)
    record: RunRecord = {
        "name": folder.name,
        "unfinished": f"step {step:,} of {total:,}",
        "recipe": loaded.data,
        "store": os.path.relpath(session.store.root, folder),
        "artifacts": {"images": _record(images), "model": _record(model)},
        "scores": {},
        "metrics": directions(recipe, registry),
        "parameters": model_facts(model.path).count_parameters(recipe.backbone),
        "selection": {
            "checkpoint": "last",
            "step": step,
            "chosen_by": {"name": "newest", "value": step},
            "fresh": {},
        },
        "diagnosis": [],
        "device": session.device,
        "machine": machine(session.device),
        "plugins": [str(file.absolute()) for file in plugins],
        "command": f"pipeline run {folder / RECIPE}",
        "versions": versions(),
        "finished": "",
    }
    return Run(folder, record, tuple(plugins), session.store.root, device)


def _record(artifact: Artifact) -> ArtifactRecord:
    return {
        "kind": artifact.kind,
        "key": artifact.key,
        "reused": artifact.reused,
        "why": artifact.why,
    }
