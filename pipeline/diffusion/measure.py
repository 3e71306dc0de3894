"""Measuring in memory: features of images, and scores of features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..plugin.contracts import Extractor, Metric, Score


def extract(extractor: Extractor, batches: Iterable[Tensor]) -> Tensor:
    """Features of uint8 batches (n, 3, H, W), on the extractor's device: float32 (N, D) on CPU."""
    found = [extractor(images).to("cpu", torch.float32) for images in batches]
    return torch.cat([torch.empty(0, extractor.dim), *found])


def score_features(
    real: Tensor, fake: Tensor, metric: Metric, protocol: Mapping[str, Any]
) -> Score:
    """The metric of features (N, D) and (M, D), with the metric's protocol and the engine's in one.

    ``protocol`` has of ``extractor`` (id), ``sampler`` (name and options), ``num_steps``,
    ``spacing``, ``split`` and ``resolution`` what applies. InputError for features of other
    dimensions.
    """
    if real.shape[1:] != fake.shape[1:]:
        raise InputError(
            f"features of real images have shape {tuple(real.shape)}, of generated ones "
            f"{tuple(fake.shape)}: extract both with the same features"
        )
    found = metric(real, fake)
    counts = {"num_real": len(real), "num_fake": len(fake)}
    if getattr(metric, "ideal", 0.0) is None:  # it did not look at them
        del counts["num_real"]
    return replace(found, protocol={**found.protocol, **counts, **protocol})


def as_data(score: Score) -> dict[str, Any]:
    """For JSON. What the metric has not, a standard error or parts, is left out."""
    error = {} if score.standard_error is None else {"standard_error": score.standard_error}
    parts = {"parts": dict(score.parts)} if score.parts else {}
    return {"value": score.value, **error, **parts, "protocol": dict(score.protocol)}
