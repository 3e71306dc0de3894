"""Measuring in memory: features of images, and scores of features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import InputError
from ..plugin.contracts import Extractor, Metric
from ..plugin.rows import RowMetric, Rows
from ..plugin.values import Score
from ..records import ScoreRecord
from .precision import computing


def extract(extractor: Extractor, batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """Extract the features of uint8 batches (n, 3, H, W): float32 (n, D) on the CPU, for each.

    The batches are on the extractor's device.
    """
    for images in batches:
        with computing("float32"):  # not while the batches are drawn, nor around the yield
            features = extractor(images).to("cpu", torch.float32)
        yield features


def score_features(real: Rows, fake: Rows, metric: Metric, protocol: Mapping[str, object]) -> Score:
    """Score features (N, D) against (M, D), with the metric's and the engine's protocol in one.

    A metric that reads rows gets them as they are, and any other a tensor of all of them.
    ``protocol`` is what the engine knows of the images and of the extractor. InputError for
    features of other dimensions.
    """
    if real.shape[1:] != fake.shape[1:]:
        raise InputError(
            f"features of real images have shape {tuple(real.shape)}, of generated ones "
            f"{tuple(fake.shape)}: extract both with the same features"
        )
    score = metric(real, fake) if isinstance(metric, RowMetric) else metric(real[:], fake[:])
    counts = {"num_real": len(real), "num_fake": len(fake)}
    if metric.ideal is None:  # it did not look at the real ones
        del counts["num_real"]
    return replace(score, protocol={**score.protocol, **counts, **protocol})


def score_record(score: Score) -> ScoreRecord:
    """A score as JSON has it; what the metric does not have, an error or parts, is left out."""
    record = ScoreRecord(value=score.value, protocol=dict(score.protocol))
    if score.standard_error is not None:
        record["standard_error"] = score.standard_error
    if score.parts:
        record["parts"] = dict(score.parts)
    return record
