"""Comparisons of variants of the tiny recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline import commands
from tests.helpers.tiny import RECIPE, STAGES

MANY = RECIPE.replace("num_images: 60", "num_images: 300").replace(
    "evaluate: {num_steps: 2, num_images: 8", "evaluate: {num_steps: 2, num_images: 50"
)
"""The tiny recipe with enough images for a standard error."""

SWAP = "backbone.upsampler=bilinear,transposed_conv"

COST = {"parameters": 1, "seconds_a_step": 0.5, "images_per_second": 9.0, "peak_memory": 1}


def set_cost(patch: pytest.MonkeyPatch, measured: Callable[..., dict[str, Any]]) -> None:
    """Have ``measured(variant, images, setting)`` called wherever a cost is asked for."""
    for module in ("compare", "subjects"):
        patch.setattr(f"pipeline.compare.{module}.measure_cost", measured)


def compare(*sources: str, **options: Any) -> dict[str, Any]:
    return commands.compare(sources, plugins=[STAGES], device="cpu", **options)
