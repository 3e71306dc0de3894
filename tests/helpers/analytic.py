"""Exact answers to compare with: those of the conformance kit, on every schedule there is."""

from __future__ import annotations

from torch import Tensor

from pipeline import Rates, Schedule, Spacing
from pipeline.diffusion.levels import levels
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline.testing.problems.analytic import (
    GaussianData,
    Impulses,
    MixtureData,
    exploding,
    flow,
    karras,
    noisy_levels,
    order_of,
    over_channels,
    variance_of,
    widest,
)
from pipeline_spacings.karras import Karras

__all__ = [
    "GaussianData",
    "Impulses",
    "MixtureData",
    "NoDraws",
    "exploding",
    "flow",
    "karras",
    "noisy_levels",
    "order_of",
    "over_channels",
    "registered_schedules",
    "spaced_levels",
    "variance_of",
    "widest",
]


class NoDraws:
    """For samplers that have no business with chance."""

    def normal(self, like: Tensor) -> Tensor:
        raise AssertionError("a deterministic sampler drew random numbers")

    uniform = normal


def spaced_levels(
    schedule: Schedule, num_steps: int, spacing: Spacing | None = None
) -> list[Rates[float]]:
    """As ``noisy_levels``, for schedules that do too much within a step of t near their ends."""
    return levels(schedule, num_steps + 1, spacing or Karras())[:-1]


def registered_schedules(*, examples: bool = False) -> dict[str, Schedule]:
    """Every schedule there is, with its defaults and, if asked, with its declared examples."""
    registry, found = Registry.load(), {}
    for entry in registry.entries("schedule"):
        found[entry.name] = made = build_stage(registry, "schedule", entry.name)
        for i, options in enumerate(getattr(made, "examples", ()) if examples else (), start=1):
            found[f"{entry.name}_{i}"] = build_stage(
                registry, "schedule", {"name": entry.name, **options}
            )
    return found
