"""Comparisons of variants of the tiny recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline import commands
from pipeline.compare.setting import Setting
from pipeline.compare.subjects import Subject
from pipeline.store.store import Store
from tests.helpers.tiny import RECIPE, STAGES

MANY = RECIPE.replace("num_images: 60", "num_images: 300").replace(
    "evaluate: {num_steps: 2, num_images: 8", "evaluate: {num_steps: 2, num_images: 50"
)
"""The tiny recipe with enough images for a standard error."""

SWAP = "backbone.upsampler=bilinear,transposed_conv"

COST = {"parameters": 1, "seconds_a_step": 0.5, "images_per_second": 9.0, "peak_memory": 1}


def set_cost(patch: pytest.MonkeyPatch, cost: Callable[[str], dict[str, Any]]) -> None:
    """Have ``cost(variant's name)`` stand for what would be measured."""

    def measured(subjects: Sequence[Subject], _: Setting) -> list[dict[str, Any]]:
        return [cost(subject.variant.name) for subject in subjects]

    for module in ("compare", "budget"):
        patch.setattr(f"pipeline.compare.{module}.measure_costs", measured)


def compare(*sources: str, **options: Any) -> dict[str, Any]:
    return commands.compare(sources, plugins=[STAGES], device="cpu", **options)


def trainings(store: Path = Path(".pipeline")) -> set[str]:
    """The keys of the trainings in a store."""
    return {record.key for record in Store(store).ls() if record.kind == "training"}
