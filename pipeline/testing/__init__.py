"""The conformance kit: does a stage keep the contract of its kind?

One call in a plugin author's test::

    from pipeline.testing import check_sampler

    def test_my_sampler():
        check_sampler(MySampler)

or ``pipeline plugins check sampler my_sampler`` in the shell. A call takes a stage, or its class,
and also tries the option sets that the class declares as ``examples`` (see ``variants``). It
returns a report of what was checked and measured, and raises ``ConformanceError`` with the same
table where something is wrong. Importing this imports no torch.

``core`` runs ``common.CHECKS`` and those of the kind's own module in ``kinds``; what these checks
give to stages, problems with known answers among them, is in ``problems``.
"""

from __future__ import annotations

from ..plugin.registry import Registry
from .context import Wrong
from .core import check_stage, examine
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
    "check_guidance",
    "check_lr_schedule",
    "check_metric",
    "check_objective",
    "check_optimizer",
    "check_preprocessor",
    "check_sampler",
    "check_schedule",
    "check_spacing",
    "check_upsampler",
    "examine",
]


def check_dataset(stage: object, *, registry: Registry | None = None) -> Report:
    """Check a dataset: its lists agree, its fingerprint is of its content, images open."""
    return check_stage("dataset", stage, registry)


def check_preprocessor(stage: object, *, registry: Registry | None = None) -> Report:
    """Check a preprocessor: float32 images in [0, 1], each by itself."""
    return check_stage("preprocessor", stage, registry)


def check_codec(stage: object, *, registry: Registry | None = None) -> Report:
    """Check a codec: its round trip, its state, its range."""
    return check_stage("codec", stage, registry)


def check_augmentation(stage: object, *, registry: Registry | None = None) -> Report:
    """Check an augmentation: random by draws alone, each image by its own."""
    return check_stage("augmentation", stage, registry)


def check_schedule(stage: object, *, registry: Registry | None = None) -> Report:
    """Check a schedule: log-SNR falls and is bounded, in t's shape and dtype."""
    return check_stage("schedule", stage, registry)


def check_spacing(stage: object, *, registry: Registry | None = None) -> Report:
    """Check a spacing: times that fall from 1 in float64, with all registered schedules."""
    return check_stage("spacing", stage, registry)


def check_objective(stage: object, *, registry: Registry | None = None) -> Report:
    """Check an objective: predictions add up to x, a perfect network has no loss."""
    return check_stage("objective", stage, registry)


def check_backbone(stage: object, *, registry: Registry | None = None) -> Report:
    """Check a backbone: gradients reach all of it, rates and labels matter, images stay apart."""
    return check_stage("backbone", stage, registry)


def check_upsampler(stage: object, *, registry: Registry | None = None) -> Report:
    """Check an upsampler: twice the size, every output pixel made of the input near it."""
    return check_stage("upsampler", stage, registry)


def check_optimizer(stage: object, *, registry: Registry | None = None) -> Report:
    """Check an optimizer: it goes downhill, and its state can be saved."""
    return check_stage("optimizer", stage, registry)


def check_lr_schedule(stage: object, *, registry: Registry | None = None) -> Report:
    """Check a learning-rate schedule: a finite factor for every step."""
    return check_stage("lr_schedule", stage, registry)


def check_sampler(stage: object, *, registry: Registry | None = None) -> Report:
    """Check a sampler: exact answers on analytic problems, declared order and cost."""
    return check_stage("sampler", stage, registry)


def check_guidance(stage: object, *, registry: Registry | None = None) -> Report:
    """Check a guidance: off at scale 1, true to x, by as many evaluations as it says."""
    return check_stage("guidance", stage, registry)


def check_features(stage: object, *, registry: Registry | None = None) -> Report:
    """Check features: float32 vectors, an identity, each image by itself."""
    return check_stage("features", stage, registry)


def check_metric(stage: object, *, registry: Registry | None = None) -> Report:
    """Check a metric: ideal for equal distributions, worse with distance, blind to order."""
    return check_stage("metric", stage, registry)
