"""KID against its definition, against torch-fidelity, and its standard error against simulation."""

import math
import statistics

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from pipeline import InputError
from pipeline_metrics import kernel, kid
from pipeline_metrics.kid import KID


def features(n: int, d: int = 16, seed: int = 0, shift: float = 0.0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=draw, dtype=torch.float64) + shift


def double_loop(real: Tensor, fake: Tensor) -> float:
    """Gretton et al. 2012, eq. 3, in Python floats."""
    x, y = real.tolist(), fake.tolist()

    def kernel(a: list[float], b: list[float]) -> float:
        return math.fsum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1

    def within(z: list[list[float]]) -> float:
        pairs = [kernel(a, b) ** 3 for i, a in enumerate(z) for j, b in enumerate(z) if i != j]
        return math.fsum(pairs) / len(pairs)

    across = [kernel(a, b) ** 3 for a in x for b in y]
    return within(x) + within(y) - 2 * math.fsum(across) / len(across)


def fidelity(real: Tensor, fake: Tensor, subsets: int, size: int) -> float:
    found = kid_features_to_metric(
        real, fake, kid_subsets=subsets, kid_subset_size=size, verbose=False
    )
    return float(found[KEY_METRIC_KID_MEAN])


def test_full_is_the_double_loop_for_unequal_sizes(monkeypatch):
    real, fake = features(23), features(31, seed=1, shift=0.2)
    expected = double_loop(real, fake)
    for block, band in ((5, 2), (3, 4), (23, 1), (512, 4)):
        monkeypatch.setattr(kernel, "BLOCK", block)
        monkeypatch.setattr(kernel, "BAND", band)
        assert KID()(real, fake).value == pytest.approx(expected, rel=0, abs=1e-12)


def test_full_equals_torch_fidelity_with_one_full_subset():
    real, fake = features(300, 64), features(300, 64, seed=1, shift=0.1)
    mean_kernel = float(((real @ fake.T / 64 + 1) ** 3).mean())
    ours = KID()(real, fake).value
    assert abs(ours - fidelity(real, fake, 1, 300)) < 1e-9 * mean_kernel


def test_subsets_agree_with_torch_fidelity_and_with_all_pairs():
    real, fake = features(900, 64), features(900, 64, seed=1, shift=0.1)
    full = KID()(real, fake)
    ours = KID(estimator="subsets", subsets=20, subset_size=300)(real, fake)
    assert full.standard_error is not None
    assert abs(ours.value - full.value) < 3 * full.standard_error
    assert abs(fidelity(real, fake, 20, 300) - full.value) < 3 * full.standard_error
    assert ours.standard_error is None


def test_subsets_never_exceed_the_images_and_do_not_change_from_call_to_call():
    real, fake = features(40), features(50, seed=1)
    metric = KID(estimator="subsets", subsets=3)
    assert metric(real, fake) == metric(real, fake)
    protocol = metric(real, fake).protocol
    assert (protocol["subsets"], protocol["subset_size"]) == (3, 40)
    one = KID(estimator="subsets", subsets=1)(real, real.flip(0) + 0.1)
    assert one.value == pytest.approx(KID()(real, real + 0.1).value, abs=1e-12)


def test_batch_mean_is_the_mean_over_whole_batches_in_random_order():
    real, fake = features(75), features(69, seed=1, shift=0.1)
    draw = np.random.default_rng(kid.SEED)
    x, y = (z[draw.choice(len(z), 64, replace=False)] for z in (real, fake))
    values = [double_loop(x[i : i + 16], y[i : i + 16]) for i in range(0, 64, 16)]
    score = KID(estimator="batch_mean", batch_size=16)(real, fake)
    assert score.value == pytest.approx(statistics.mean(values), abs=1e-12)
    assert score.standard_error == pytest.approx(statistics.stdev(values) / 2, abs=1e-12)
    assert KID(estimator="batch_mean")(real, fake).standard_error is None
    with pytest.raises(InputError, match="batch of 64 images"):
        KID(estimator="batch_mean")(real[:60], fake)


def test_batch_mean_is_unbiased_for_images_sorted_by_class():
    """Two far classes, in opposite order on the two sides: batch against batch they are apart."""
    classes = torch.arange(640)[:, None] // 320 * 2.0
    real, fake = features(640) + classes, features(640, seed=1) + classes.flip(0)
    score = KID(estimator="batch_mean")(real, fake)
    assert abs(score.value) < 4 * score.standard_error
    assert KID()(real[:320], fake[:320]).value > 20 * score.standard_error


def test_two_halves_of_one_set_are_at_distance_0():
    both = features(2000)
    score = KID()(both[::2], both[1::2])
    assert score.standard_error is not None
    assert abs(score.value) < 3 * score.standard_error
    shifted = KID()(both[::2], both[1::2] + 0.3)
    assert shifted.value > 10 * score.standard_error


def test_order_and_precision_of_the_input_do_not_matter():
    real, fake = features(200).float(), features(150, seed=1, shift=0.1).float()
    expected = KID()(real, fake)
    for other in (KID()(real.flip(0), fake.roll(7, 0)), KID()(real.double(), fake.double())):
        assert other.value == pytest.approx(expected.value, abs=1e-12)
        assert other.standard_error == pytest.approx(expected.standard_error, rel=1e-9)


@pytest.mark.parametrize(
    ("n", "m", "shift", "clipped"), [(120, 120, 0.0, 1), (60, 40, 0.3, 0), (40, 90, 1.0, 0)]
)
def test_standard_error_is_the_deviation_over_repeated_draws(n, m, shift, clipped):
    """Exact on average; where the distributions are equal never too small (terms clipped at 0)."""
    scores = [KID()(features(n, 16, 2 * i), features(m, 16, 2 * i + 1, shift)) for i in range(400)]
    deviation = statistics.stdev(score.value for score in scores)
    estimated = math.sqrt(statistics.mean(score.standard_error**2 for score in scores))
    assert estimated / deviation == pytest.approx(1.1 if clipped else 1.0, abs=0.15)


def test_standard_error_holds_the_terms_of_second_order():
    """Half the data, equal distributions: the variance falls with 1/N², the error with 1/N."""
    error = [
        statistics.mean(
            KID()(features(n, 16, i), features(n, 16, 999 - i)).standard_error for i in range(60)
        )
        for n in (50, 100)
    ]
    assert error[0] / error[1] == pytest.approx(2, rel=0.15)


def test_no_standard_error_of_fewer_than_4_images():
    assert KID()(features(3), features(9, seed=1)).standard_error is None
    assert KID()(features(9), features(4, seed=1)).standard_error is not None


def test_protocol_says_what_was_done():
    real, fake = features(70), features(80, seed=1)
    sizes = {"metric": "kid", "num_real": 70, "num_fake": 80}
    assert KID()(real, fake).protocol == {**sizes, "estimator": "full"}
    batches = KID(estimator="batch_mean")(real, fake).protocol
    assert batches == {**sizes, "estimator": "batch_mean", "batch_size": 64}


@pytest.mark.parametrize(
    "options",
    [
        {"subsets": 10},
        {"estimator": "subsets", "batch_size": 64},
        {"estimator": "batch_mean", "subset_size": 64},
    ],
)
def test_an_option_that_the_estimator_does_not_read_is_refused(options):
    with pytest.raises(ValueError, match="is not an option of estimator"):
        KID(**options)


def test_unusable_features_are_refused():
    good = features(10)
    broken = good.clone()
    broken[3, 2] = math.nan
    with pytest.raises(InputError, match="generated image 3 are not finite"):
        KID()(good, broken)
    with pytest.raises(InputError, match="2 real images"):
        KID()(good[:1], good)
    with pytest.raises(InputError, match="16 dimensions, generated 15"):
        KID()(good, good[:, :15])
