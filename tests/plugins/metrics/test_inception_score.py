"""Inception score against cases known by hand and against torch-fidelity."""

import math
import statistics

import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_isc import (
    KEY_METRIC_ISC_MEAN,
    KEY_METRIC_ISC_STD,
    isc_features_to_metric,
)

from pipeline import InputError
from pipeline_metrics.inception_score import InceptionScore

NONE = torch.empty(0, 0)
"""Real images, which are not looked at."""


def logits(n: int, classes: int = 10, seed: int = 0, scale: float = 2.0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, classes, generator=draw, dtype=torch.float64) * scale


@pytest.mark.parametrize("splits", [1, 2, 10])
@pytest.mark.parametrize("n", [200, 333])
def test_equals_torch_fidelity(n, splits):
    x = logits(n, 1008, scale=3.0)
    theirs = isc_features_to_metric(x, splits=splits)
    score = InceptionScore(splits=splits)(NONE, x)
    assert score.value == pytest.approx(theirs[KEY_METRIC_ISC_MEAN], rel=1e-12)
    if splits == 1:
        assert score.standard_error is None
    else:  # theirs is the deviation of the splits, without Bessel's correction
        error = theirs[KEY_METRIC_ISC_STD] / math.sqrt(splits - 1)
        assert score.standard_error == pytest.approx(error, rel=1e-9)


def test_certain_and_balanced_classes_are_as_many_as_there_are():
    certain = torch.eye(8, dtype=torch.float64).repeat(5, 1) * 1e5
    assert InceptionScore(splits=1)(NONE, certain).value == pytest.approx(8, rel=1e-12)
    assert InceptionScore(splits=1)(NONE, certain[::8]).value == pytest.approx(1, rel=1e-12)
    uncertain = torch.zeros(40, 8)
    assert InceptionScore()(NONE, uncertain).value == pytest.approx(1, rel=1e-12)


def test_two_images_of_two_classes_by_hand():
    """p = (0.9, 0.1) and (0.2, 0.8); p(y) = (0.55, 0.45)."""
    p = torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=torch.float64)
    terms = [[a * math.log(a / q) for a, q in zip(row, (0.55, 0.45), strict=True)] for row in p]
    expected = math.exp(math.fsum(map(math.fsum, terms)) / 2)
    score = InceptionScore(splits=1)(NONE, p.log() + 3)  # a constant in the logits is nothing
    assert score.value == pytest.approx(expected, rel=1e-12)


def test_real_images_are_not_looked_at():
    x = logits(40)
    assert InceptionScore()(x * math.nan, x) == InceptionScore()(NONE, x)
    assert InceptionScore.ideal is None
    assert InceptionScore.higher_is_better
    assert InceptionScore.needs == "logits"


def test_standard_error_is_the_deviation_over_repeated_draws():
    scores = [InceptionScore()(NONE, logits(300, seed=i)) for i in range(150)]
    deviation = statistics.stdev(score.value for score in scores)
    estimated = math.sqrt(statistics.mean(score.standard_error**2 for score in scores))
    assert estimated == pytest.approx(deviation, rel=0.2)


def test_few_images_in_a_split_bias_it():
    x = logits(2000)
    values = [InceptionScore(splits=splits)(NONE, x).value for splits in (1, 10, 100)]
    assert values[0] > values[1] > values[2]


def test_order_does_not_matter_without_splits_and_images_sorted_by_class_are_shuffled():
    x = logits(100)
    flipped = InceptionScore(splits=1)(NONE, x.flip(0)).value
    assert flipped == pytest.approx(InceptionScore(splits=1)(NONE, x).value, rel=1e-12)
    sorted_by_class = torch.eye(4).repeat_interleave(100, 0) * 20
    assert InceptionScore(splits=4)(NONE, sorted_by_class).value > 3.8


def test_float32_logits_are_scored_in_float64():
    x = logits(60).float()
    assert InceptionScore()(NONE, x) == InceptionScore()(NONE, x.double())


def test_protocol_says_what_was_done():
    protocol = InceptionScore(splits=3)(NONE, logits(9)).protocol
    about = {"metric": "inception_score", "biased": True, "splits": 3, "num_fake": 9}
    assert protocol == about


def test_unusable_logits_are_refused():
    message = "inception_score with splits 10 needs the features of 20 generated images, got"
    with pytest.raises(InputError, match=f"{message} .*; add images or lower splits"):
        InceptionScore()(NONE, logits(19))
    InceptionScore()(NONE, logits(20))
    with pytest.raises(InputError, match="generated image 0 are not finite"):
        InceptionScore()(NONE, logits(20) * math.inf)
