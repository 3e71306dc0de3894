"""Precision and recall against hand-made cases, their definition, and torch-fidelity."""

import math

import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_prc import (
    KEY_METRIC_F_SCORE,
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
    prc_features_to_metric,
)

from pipeline import InputError, Score
from pipeline_metrics import precision_recall
from pipeline_metrics.precision_recall import PrecisionRecall


def normal(n: int, d: int = 16, seed: int = 0, *, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=draw, dtype=torch.float64) * scale + shift


def line(*places: float) -> Tensor:
    return torch.tensor(places, dtype=torch.float64)[:, None]


def both(score: Score) -> tuple[float, float]:
    assert set(score.parts) == {"precision", "recall"}
    return score.parts["precision"], score.parts["recall"]


def double_loop(real: Tensor, fake: Tensor, k: int) -> tuple[float, float]:
    """Kynkäänniemi et al. 2019, eq. 1 and 2, in Python floats."""

    def covered(x: list[list[float]], centres: list[list[float]]) -> float:
        radii = [sorted(math.dist(a, b) for b in centres)[k] for a in centres]
        inside = [any(math.dist(a, c) <= r for c, r in zip(centres, radii, strict=True)) for a in x]
        return sum(inside) / len(inside)

    x, y = real.tolist(), fake.tolist()
    return covered(y, x), covered(x, y)


def test_a_case_by_hand():
    """Balls around 0, 1, 3, 7 reach 1, 1, 2, 4: they hold 2 and 2.5.

    Around 20, 2, 2.5 they reach 17.5, ½, ½, and hold 3 and 7."""
    score = PrecisionRecall(k=1)(line(0, 1, 3, 7), line(20, 2, 2.5))
    assert both(score) == (2 / 3, 2 / 4)
    assert score.value == pytest.approx(2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))
    assert score.standard_error is None


@pytest.mark.parametrize(("n", "m", "d"), [(120, 90, 3), (60, 100, 32)])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_is_the_double_loop_in_blocks_of_any_size(n, m, d, k, monkeypatch):
    real, fake = normal(n, d), normal(m, d, 1, shift=0.3, scale=0.8)
    expected = double_loop(real, fake, k)
    assert 0 < expected[0] < 1
    for block in (1, 7, 64, 1024):
        monkeypatch.setattr(precision_recall, "BLOCK", block)
        assert both(PrecisionRecall(k=k)(real, fake)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", [1, 3, 8])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_equals_torch_fidelity(k, shift):
    real, fake = normal(700, 24), normal(600, 24, 1, shift=shift, scale=0.9)
    theirs = prc_features_to_metric(fake, real, prc_neighborhood=k, verbose=False)
    score = PrecisionRecall(k=k)(real, fake)
    expected = theirs[KEY_METRIC_PRECISION], theirs[KEY_METRIC_RECALL]
    assert both(score) == pytest.approx(expected, abs=1e-6)  # theirs are means in float32
    assert score.value == pytest.approx(theirs[KEY_METRIC_F_SCORE], abs=1e-6)


def test_the_same_set_is_wholly_covered_far_sets_not_at_all():
    real = normal(80)
    for fake in (real, real.flip(0), real[:40].repeat(2, 1)):
        assert PrecisionRecall()(real, fake).parts["precision"] == 1
    assert PrecisionRecall()(real, real).value == 1
    far = PrecisionRecall()(real, real + 1000)
    assert (far.value, both(far)) == (0.0, (0.0, 0.0))


def test_a_ball_has_its_surface_whatever_the_last_digit():
    """A grid of step 0.1, moved by one step: every point is as far as a neighbour is."""
    grid = torch.cartesian_prod(*[torch.arange(4, dtype=torch.float64)] * 3) / 10
    moved = grid + torch.tensor([0.1, 0, 0], dtype=torch.float64)
    assert both(PrecisionRecall(k=1)(grid, moved)) == (1.0, 1.0)


def test_a_collapsed_generator_is_precise_and_recalls_nothing():
    """Copies of one image have balls of radius 0, which hold that image and no other."""
    real = normal(50)
    assert both(PrecisionRecall()(real, real[7].repeat(50, 1))) == (1.0, 1 / 50)
    outside = real[7] + 100
    assert both(PrecisionRecall()(real, outside.repeat(50, 1))) == (0.0, 0.0)


def test_half_the_modes_halve_recall_but_not_precision():
    real = torch.cat([normal(300, 4), normal(300, 4, 1) + 50])
    precision, recall = both(PrecisionRecall()(real, normal(600, 4, 2)))
    assert precision > 0.9
    assert 0.45 < recall <= 0.5  # within the mode it misses a few
    swapped = both(PrecisionRecall()(normal(600, 4, 2), real))
    assert swapped == (recall, precision)


def test_order_precision_and_offset_of_the_input_do_not_matter():
    real, fake = normal(150).float(), normal(120, seed=1, shift=0.2).float()
    expected = both(PrecisionRecall()(real, fake))
    assert both(PrecisionRecall()(real.flip(0), fake.roll(7, 0))) == expected
    assert both(PrecisionRecall()(real.double(), fake.double())) == expected
    assert both(PrecisionRecall()(real.double() + 1e6, fake.double() + 1e6)) == expected


def test_larger_k_covers_more():
    real, fake = normal(100), normal(100, seed=1, shift=0.5)
    values = [PrecisionRecall(k=k)(real, fake).value for k in (1, 3, 10)]
    assert values == sorted(values)
    assert values[0] < values[2]


def test_protocol_and_what_it_declares():
    score = PrecisionRecall(k=2)(normal(9), normal(12, seed=1))
    sizes = {"num_real": 9, "num_fake": 12}
    assert score.protocol == {"metric": "precision_recall", "biased": True, "k": 2, **sizes}
    assert PrecisionRecall.higher_is_better
    assert PrecisionRecall.biased
    assert PrecisionRecall.ideal == 1


def test_unusable_features_and_options_are_refused():
    good = normal(10)
    message = "precision_recall with k 9 needs the features of 10 generated images, got .*lower k"
    with pytest.raises(InputError, match=message):
        PrecisionRecall(k=9)(good, good[:9])
    PrecisionRecall(k=9)(good, good)
    with pytest.raises(InputError, match="real image 0 are not finite"):
        PrecisionRecall()(good * math.nan, good)
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        PrecisionRecall(k=0)
