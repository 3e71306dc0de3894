"""What a training and a model are keyed by. Cleaning up the store reads it, without torch."""

from __future__ import annotations

from collections.abc import Mapping

from ..plugin.registry import Registry
from ..plugin.stage import options_of
from ..recipe.schema import Recipe
from ..records import Plain
from ..store.manifest import key_of
from ..store.store import Artifact

CHOICE = ("validate", "steps")
"""What a model's key has beyond its training's."""


def trajectory_of(
    recipe: Recipe, registry: Registry, encoded: Artifact, init: str | None = None
) -> Plain:
    """All that a step's weights depend on: not how long training goes on, nor how it is watched.

    ``encoded`` are the images, or their latents.
    ``init`` is the digest of the weights that training begins with; None: they are new. What fits
    of them follows from the rest, so ``init_partial`` does not count.
    """
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
            "precision": settings.precision,
            "accumulate": settings.accumulate,  # equals a larger batch only to rounding
            "repeats": settings.repeats,
            "condition": settings.condition,
            "drop_label": settings.drops if settings.condition else None,
            "clip_gradients": settings.clip_gradients,
            "ema": {k: v for k, v in options_of(settings.ema).items() if v is not None},
            **({"init": init} if init else {}),
        },
        "seed": recipe.seed,
        "inputs": {encoded.kind: encoded.content},
    }


def training_key(model: Mapping[str, object]) -> str:
    """The key of the training that a model with these ingredients was chosen from."""
    return key_of("training", {k: v for k, v in model.items() if k not in CHOICE})
