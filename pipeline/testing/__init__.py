"""The conformance kit: does a stage keep the contract of its kind?

One call in a plugin author's test::

    from pipeline.testing import check_sampler

    def test_my_sampler():
        check_sampler(MySampler)

or ``pipeline plugins check sampler my_sampler`` in the shell. A call takes a stage, or its class,
and also tries the option sets that the class declares as ``examples``. It returns a report of what
was checked and measured, and raises ``ConformanceError`` with the same table where something is
wrong. Importing this imports no torch.
"""

from __future__ import annotations

from typing import Any

from ..plugin.registry import Registry
from .core import Wrong, check, examine
from .report import ConformanceError, Finding, Report

__all__ = [
    "ConformanceError",
    "Finding",
    "Report",
    "Wrong",
    "check_augmentation",
    "check_backbone",
    "check_codec",
    "check_dataset",
    "check_features",
    "check_lr_schedule",
    "check_metric",
    "check_objective",
    "check_optimizer",
    "check_preprocessor",
    "check_sampler",
    "check_schedule",
    "check_upsampler",
    "examine",
]


def check_dataset(stage: Any, *, registry: Registry | None = None) -> Report:
    """A dataset: its lists agree, its fingerprint is of its content, it pickles to workers."""
    return check("dataset", stage, registry)


def check_preprocessor(stage: Any, *, registry: Registry | None = None) -> Report:
    """A preprocessor: float32 images in [0, 1], deterministic."""
    return check("preprocessor", stage, registry)


def check_codec(stage: Any, *, registry: Registry | None = None) -> Report:
    """A codec: its round trip, its state, its range."""
    return check("codec", stage, registry)


def check_augmentation(stage: Any, *, registry: Registry | None = None) -> Report:
    """An augmentation: random by draws alone, each image by its own."""
    return check("augmentation", stage, registry)


def check_schedule(stage: Any, *, registry: Registry | None = None) -> Report:
    """A schedule: log-SNR falls and is bounded, in t's shape and dtype."""
    return check("schedule", stage, registry)


def check_objective(stage: Any, *, registry: Registry | None = None) -> Report:
    """An objective: predictions add up to x, a perfect network has no loss."""
    return check("objective", stage, registry)


def check_backbone(stage: Any, *, registry: Registry | None = None) -> Report:
    """A backbone: gradients reach all of it, rates and labels matter, rows stay apart."""
    return check("backbone", stage, registry)


def check_upsampler(stage: Any, *, registry: Registry | None = None) -> Report:
    """An upsampler: twice the size, every output pixel of the input near it."""
    return check("upsampler", stage, registry)


def check_optimizer(stage: Any, *, registry: Registry | None = None) -> Report:
    """An optimizer: it goes downhill, and its state can be saved."""
    return check("optimizer", stage, registry)


def check_lr_schedule(stage: Any, *, registry: Registry | None = None) -> Report:
    """A learning-rate schedule: a finite factor for every step."""
    return check("lr_schedule", stage, registry)


def check_sampler(stage: Any, *, registry: Registry | None = None) -> Report:
    """A sampler: exact answers on analytic problems, declared order and cost."""
    return check("sampler", stage, registry)


def check_features(stage: Any, *, registry: Registry | None = None) -> Report:
    """Features: float32 vectors, an identity, each image by itself."""
    return check("features", stage, registry)


def check_metric(stage: Any, *, registry: Registry | None = None) -> Report:
    """A metric: ideal for equal distributions, worse with distance, blind to order."""
    return check("metric", stage, registry)
