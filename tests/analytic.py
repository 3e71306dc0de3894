"""Exact answers to compare with, for short: they are the conformance kit's."""

from pipeline.testing.analytic import (
    GaussianData,
    Impulses,
    MixtureData,
    NoDraws,
    exploding,
    flow,
    karras,
    noisy_levels,
    order_of,
    over_channels,
    variance_of,
    widest,
)

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
    "variance_of",
    "widest",
]
