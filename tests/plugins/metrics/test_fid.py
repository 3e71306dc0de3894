"""FID against closed forms, against torch-fidelity, and where few images make it singular."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor
from torch_fidelity.metric_fid import (
    KEY_METRIC_FID,
    fid_features_to_statistics,
    fid_statistics_to_metric,
)

from pipeline import InputError
from pipeline_metrics import fid
from pipeline_metrics.fid import FID


def normal(n: int, d: int = 16, seed: int = 0, *, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=draw, dtype=torch.float64) * scale + shift


def exactly(mean: Tensor, covariance: Tensor, n: int, seed: int = 0) -> Tensor:
    """N features whose sample mean and unbiased covariance are these, not only on average."""
    d = len(mean)
    centred = normal(n, d, seed)
    centred -= centred.mean(0)
    white = torch.linalg.qr(centred).Q * math.sqrt(n - 1)
    return white @ torch.linalg.cholesky(covariance).T + mean


def covariance(d: int, seed: int) -> Tensor:
    x = normal(3 * d, d, seed)
    return x.T @ x / len(x)


def fidelity(real: Tensor, fake: Tensor) -> float:
    sides = [fid_features_to_statistics(x) for x in (real, fake)]
    return float(fid_statistics_to_metric(*sides, verbose=False)[KEY_METRIC_FID])


def test_two_gaussians_whose_covariances_commute_have_a_closed_form():
    """Σ (μ₁ - μ₂)² + (σ₁ - σ₂)², in any rotation of the axes."""
    d = 7
    rotation = torch.linalg.qr(normal(d, d, 5)).Q
    means, deviations = normal(2, d, 1), normal(2, d, 2).abs() + 0.1
    sides = [
        exactly(rotation @ mean, rotation @ torch.diag(s**2) @ rotation.T, n, n)
        for mean, s, n in zip(means, deviations, (40, 55), strict=True)
    ]
    expected = sum(float((a[0] - a[1]).square().sum()) for a in (means, deviations))
    assert FID()(*sides).value == pytest.approx(expected, rel=1e-12)


def test_two_gaussians_whose_covariances_do_not_commute():
    first, second = covariance(6, 1), covariance(6, 2)
    root = np.real(sqrtm(first.numpy()))
    shared = np.trace(np.real(sqrtm(root @ second.numpy() @ root)))
    expected = 4 * 6 + float(first.trace() + second.trace()) - 2 * shared
    sides = exactly(torch.zeros(6), first, 30), exactly(torch.full((6,), 2.0), second, 70, 1)
    assert FID()(*sides).value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("n", "m", "d"), [(500, 300, 64), (60, 50, 64), (40, 300, 64), (5, 3, 96)])
def test_equals_torch_fidelity_with_more_and_with_fewer_images_than_dimensions(n, m, d):
    mix = covariance(d, 7)  # no axis is special
    real, fake = normal(n, d) @ mix, normal(m, d, 1, shift=0.1, scale=1.2) @ mix
    assert FID()(real, fake).value == pytest.approx(fidelity(real, fake), rel=1e-4)


def test_few_images_in_many_dimensions_are_exact():
    """Two features in each set, on one line: the covariances are of rank 1, the product singular.

    Along the line the deviations are 3 and 5 times √2, and the means coincide.
    """
    line = torch.zeros(1, 2048, dtype=torch.float64)
    line[0, 17] = 1
    real, fake = (torch.tensor([[-a], [a]]) * line + 0.25 for a in (3.0, 5.0))
    assert FID()(real, fake).value == pytest.approx((5 - 3) ** 2 * 2, rel=1e-12)
    across = line.roll(1, 1)
    apart = torch.cat([-5 * across, 5 * across]) + 0.25
    assert FID()(real, apart).value == pytest.approx(2 * (9 + 25), rel=1e-12)


def test_the_same_images_are_at_distance_0_in_any_order_and_number_of_copies():
    for n, d in ((50, 8), (10, 200)):
        real = normal(n, d, shift=5.0)
        score = FID()(real, real.flip(0))
        assert 0 <= score.value < 1e-10
        assert FID()(real.float(), real.float()).value < 1e-10
    constant = torch.ones(9, 4)
    assert FID()(constant, constant).value == 0
    assert FID()(constant, constant + 1).value == pytest.approx(4)


def test_grows_with_distance_and_does_not_depend_on_the_side():
    real = normal(200)
    values = [FID()(real, normal(200, seed=1, shift=s)).value for s in (0.0, 0.3, 0.6, 1.2)]
    assert values == sorted(values)
    other = normal(150, seed=2, scale=2.0)
    assert FID()(real, other).value == pytest.approx(FID()(other, real).value, rel=1e-12)


def test_blocks_change_nothing(monkeypatch):
    real, fake = normal(23), normal(61, seed=1, shift=0.2)
    expected = FID()(real, fake).value
    for block in (1, 7, 16, 40):
        monkeypatch.setattr(fid, "BLOCK", block)
        assert FID()(real, fake).value == pytest.approx(expected, rel=1e-12)


def test_few_images_bias_it_upwards_and_it_says_so():
    means = [
        np.mean([FID()(normal(n, 8, 2 * i), normal(n, 8, 2 * i + 1)).value for i in range(20)])
        for n in (10, 40, 160)
    ]
    assert means[0] > 2 * means[1] > 4 * means[2] > 0
    assert FID.biased
    assert FID()(normal(9), normal(12)).protocol == {
        "metric": "fid",
        "biased": True,
        "num_real": 9,
        "num_fake": 12,
    }


def test_computes_in_float64_whatever_it_is_given():
    real, fake = normal(300, 32).float() + 1000, normal(300, 32, 1, shift=0.1).float() + 1000
    assert FID()(real, fake).value == FID()(real.double(), fake.double()).value
    assert real.dtype == torch.float32


def test_unusable_features_are_refused():
    good = normal(10)
    broken = good.clone()
    broken[3, 2] = math.inf
    with pytest.raises(InputError, match="fid: the features of real image 3 are not finite"):
        FID()(broken, good)
    with pytest.raises(InputError, match="fid needs the features of 2 generated images"):
        FID()(good, good[:1])
    with pytest.raises(InputError, match="16 dimensions, generated 15"):
        FID()(good, good[:, :15])
