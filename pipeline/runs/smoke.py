"""A recipe cut down to see whether all of it works: two steps, two batches, four images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ..errors import InputError
from ..plugin.contracts import Metric
from ..plugin.length import TOTAL, waits_for_length
from ..plugin.registry import Registry
from ..progress import note
from ..recipe.load import Loaded, build_recipe
from ..records import Plain

STEPS, BATCHES, IMAGES = 2, 2, 4
"""Of training, of validation, and drawn images of each kind."""
LENGTH = 100_000
"""The end of a learning-rate schedule that would end with the training: after any warm-up."""

SUFFIX = "-smoke"
"""Ends the name of such a run, so that it never takes the place of the recipe's own."""


def smoked(loaded: Loaded, registry: Registry) -> Loaded:
    """The recipe cut down, under a name of its own. Metrics that need more images are left out."""
    recipe, data = loaded.recipe, loaded.data
    validate: Plain = {"every": f"{STEPS} steps", "max_batches": BATCHES, "num_images": IMAGES}
    validate |= {"grid": [2, 2], "grid_num_steps": STEPS, "num_steps": STEPS}
    validate["metrics"] = _able(recipe.train.validate.metrics, data["train"]["validate"])
    train: Plain = {"max_steps": STEPS, "trackers": [], "validate": validate}
    if waits_for_length(recipe.train.lr_schedule):
        train["lr_schedule"] = {TOTAL: LENGTH}
    changed: Plain = {"train": train}
    changed["sample"] = {"num_images": IMAGES, "num_steps": STEPS, "grid": [2, 2]}
    if recipe.evaluate:
        metrics = _able(recipe.evaluate.metrics, data["evaluate"])
        changed["evaluate"] = {"num_images": IMAGES, "num_steps": STEPS, "metrics": metrics}
    name = loaded.base + SUFFIX
    note(f"{name}: a trial of {STEPS} steps, {IMAGES} images; its pictures and scores mean nothing")
    data = _over(data, {**changed, "name": name})
    origins = {
        path: "--smoke" if _has(changed, path) else said for path, said in loaded.origins.items()
    }
    cut = build_recipe(registry, data, str(loaded.path))
    return replace(loaded, recipe=cut, base=name, changed=[], data=data, origins=origins)


def _able(metrics: Sequence[Metric], section: Mapping[str, Any]) -> list[Any]:
    """The specs of the metrics that can be computed from so few images."""
    able = []
    noise = torch.Generator().manual_seed(0)
    few = [torch.randn(IMAGES, 8, generator=noise) for _ in range(2)]
    for metric, spec in zip(metrics, section["metrics"], strict=True):
        try:
            metric(*few)
        except InputError as error:
            note(f"{spec['name']} is left out of this trial: {error}")
            continue
        able.append(spec)
    return able


def _over(old: Plain, new: Mapping[str, Any]) -> Plain:
    """Plain data with other values in it."""
    inner = {k: _over(old[k], v) if isinstance(v, Mapping) else v for k, v in new.items()}
    return {**old, **inner}


def _has(data: object, path: str) -> bool:
    for key in path.split("."):
        if not isinstance(data, Mapping) or key not in data:
            return False
        data = data[key]
    return True
