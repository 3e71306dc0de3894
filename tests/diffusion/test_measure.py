"""Features of images and scores of features, in memory."""

from __future__ import annotations

import pytest
import torch

from pipeline import InputError, Score
from pipeline.diffusion.measure import extract, score_features, score_record
from pipeline_metrics.kid import KID
from tests.helpers.means import MeansExtractor, pictures


def test_extract_joins_batches() -> None:
    images = pictures(10)
    assert torch.equal(extract(MeansExtractor(), images.split(4)), MeansExtractor()(images))
    assert extract(MeansExtractor(), []).shape == (0, 3)


def test_features_of_other_dimensions_are_not_compared() -> None:
    with pytest.raises(InputError, match="same features"):
        score_features(torch.zeros(5, 3), torch.zeros(5, 4), KID(), {})


def test_what_was_not_measured_is_absent() -> None:
    record = score_record(Score(1.5, None, {"metric": "x"}))
    assert record == {"value": 1.5, "protocol": {"metric": "x"}}
