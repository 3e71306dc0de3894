"""What a recipe leaves open, settled once, before anything is trained, and kept by its run.

That is ``precision: auto``, which the device decides, and the length of a learning-rate schedule
that ends with the training. So a run goes on as it began, on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..artifacts.split import halves
from ..diffusion.precision import best_precision
from ..errors import InputError
from ..plugin.length import TOTAL, of_length, waits_for_length
from ..plugin.registry import Registry
from ..progress import note
from ..recipe.load import Loaded, build_recipe
from ..recipe.schema import Recipe
from ..records import Plain
from ..training.batches import training_batches
from .claim import differences, folders_of, recipe_in
from .layout import RUNS
from .precision import automatic

Keys = tuple[str, ...]

LENGTH: Keys = ("train", "lr_schedule", TOTAL)


def settled(loaded: Loaded, name: str | None, device: str, registry: Registry) -> Loaded:
    """The recipe with nothing open: as this recipe's run has it, else as device and images say.

    ``name`` is the folder's where it was given. Raises InputError for a dataset that is not there.
    """
    left = _open(loaded)
    if not left:
        return loaded
    folders = [RUNS / name] if name is not None else folders_of(loaded)
    kept = next(filter(None, (_as_in(folder, loaded, left) for folder in folders)), None)
    values = _decided(loaded.recipe, left, device) if kept is None else kept
    return _settle(loaded, left, values, registry)


def with_length(loaded: Loaded, registry: Registry) -> Loaded:
    """The recipe with the training's length where its learning-rate schedule waits for that."""
    left = {keys: said for keys, said in _open(loaded).items() if keys == LENGTH}
    return _settle(loaded, left, _decided(loaded.recipe, left, ""), registry) if left else loaded


def training_steps(recipe: Recipe) -> int:
    """How many steps the recipe's training has; the dataset is listed for that."""
    source = recipe.dataset()
    train = (~halves(source, recipe.split)).nonzero()[0]
    return recipe.train.steps(training_batches(train, recipe.seed, recipe.train).per_epoch)


def _open(loaded: Loaded) -> dict[Keys, str]:
    """The keys whose values are to be decided, and by what, for the origins."""
    left: dict[Keys, str] = {(s, "precision"): "auto" for s in automatic(loaded.data)}
    if waits_for_length(loaded.recipe.train.lr_schedule):
        left[LENGTH] = "the training's length"
    return left


def _decided(recipe: Recipe, left: Mapping[Keys, str], device: str) -> dict[Keys, object]:
    """A value for each key, which is told."""
    values: dict[Keys, object] = {}
    if precisions := [keys for keys in left if keys != LENGTH]:
        best = best_precision(device)
        note(f"precision auto: {best} on {device}")
        values |= dict.fromkeys(precisions, best)
    if LENGTH in left:
        values[LENGTH] = steps = training_steps(recipe)
        try:
            of_length(recipe.train.lr_schedule, steps)
        except ValueError as error:
            raise InputError(
                f"train.lr_schedule: the training has {steps:,} steps, and the schedule cannot end "
                "there; make the training longer, or give total_steps and fewer warm-up steps"
            ) from error
    return values


def _settle(
    loaded: Loaded, left: Mapping[Keys, str], values: Mapping[Keys, object], registry: Registry
) -> Loaded:
    """The recipe with these values, and by what each was decided."""
    data = _with(loaded.data, values)
    origins = loaded.origins | {".".join(keys): said for keys, said in left.items()}
    recipe = build_recipe(registry, data, str(loaded.path))
    return replace(loaded, recipe=recipe, data=data, origins=origins)


def _as_in(folder: Path, loaded: Loaded, left: Mapping[Keys, str]) -> Mapping[Keys, object] | None:
    """What the run in this folder settled; None where that is another recipe's run."""
    kept = recipe_in(folder) or {}
    values = {keys: _at(kept, keys) for keys in left}
    if not {type(value) for value in values.values()} <= {str, int} or "auto" in values.values():
        return None
    data = _with(loaded.data, values)
    return None if differences(kept, replace(loaded, data=data)) else values


def _at(data: object, keys: Keys) -> object:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _with(data: Plain, values: Mapping[Keys, object]) -> Plain:
    for (key, *rest), value in values.items():
        inner = _with(data[key], {tuple(rest): value}) if rest else value
        data = {**data, key: inner}
    return data
