"""As much training for each variant as the budget gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ..artifacts.prepare import read_images
from ..progress import note
from ..training.batches import training_batches
from .cost import measure_costs
from .setting import Setting
from .subjects import Subject


def with_budget(subjects: Sequence[Subject], setting: Setting) -> list[Subject]:
    """The variants, each trained for as many steps as the budget gives it."""
    if setting.budget is None:
        return list(subjects)
    amount = setting.budget.amount
    if setting.budget.unit == "steps":
        return [_trained(subject, int(amount), setting) for subject in subjects]
    limited = []
    for subject, cost in zip(subjects, measure_costs(subjects, setting), strict=True):
        steps = int(max(1, amount * 60 / cost["seconds_a_step"]))
        note(f"{subject.variant.name}: {steps:,} steps fit into the budget")
        limited.append(_trained(subject, steps, setting))
    return limited


def _trained(subject: Subject, steps: int, setting: Setting) -> Subject:
    recipe = subject.variant.loaded.recipe
    train = read_images(subject.images).indices("train")
    per_epoch = training_batches(train, recipe.seed, recipe.train).per_epoch
    more = [f"train.max_steps={steps}"]
    if recipe.train.epochs * per_epoch < steps:
        more.append(f"train.epochs={math.ceil(steps / per_epoch)}")
    return replace(subject, variant=subject.variant.changed(more, setting.session.registry))
