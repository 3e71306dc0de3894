"""The error of a difference from finite samples: exact, and as often wrong as it says."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from itertools import permutations, product

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline import InputError, Score
from pipeline.compare.samples import GROUPS, SEED, difference, jackknife, model_differences
from pipeline.plugin.difference import Difference
from pipeline_metrics import kernel as kernels
from pipeline_metrics.fid import FID
from pipeline_metrics.inception_score import InceptionScore
from pipeline_metrics.kid import KID
from pipeline_metrics.precision_recall import PrecisionRecall
from tests.helpers.gaussian import REAL, Draws, Gaussian, kernel_mean, kid

Pair = tuple[Tensor, Tensor]
NEAR, FAR = Gaussian(0.3, 1.1), Gaussian(0.4, 1.1)


def kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x.double() @ y.double().T / x.shape[1] + 1) ** 3


def mean(matrix: Tensor, other: Tensor, places: Iterable[tuple[int, int, int, int]]) -> float:
    """Of products of two elements."""
    return statistics.fmean(float(matrix[i, j] * other[k, q]) for i, j, k, q in places)


def by_hand(real: Tensor, pairs: list[Pair]) -> tuple[float, float]:
    """Value and variance, from their definitions: every mean is over all distinct indices."""
    n, m = len(real), len(pairs[0][0])
    h = sum(kernel(z, z) - kernel(y, y) for y, z in pairs) / len(pairs)
    g = sum(kernel(real, z) - kernel(real, y) for y, z in pairs) / len(pairs)
    two, three, four = (list(permutations(range(m), k)) for k in (2, 3, 4))
    reals, cells = list(permutations(range(n), 2)), list(product(range(n), range(m)))
    value = statistics.fmean(float(h[i, j]) for i, j in two)
    value -= 2 * statistics.fmean(float(g[i, j]) for i, j in cells)
    hh_apart = mean(h, h, four)
    gg_apart = mean(g, g, [(a, i, b, j) for a, b in reals for i, j in two])
    hg_apart = mean(h, g, [(i, j, a, k) for i, j, k in three for a in range(n)])
    gg_row = mean(g, g, [(a, i, a, j) for a in range(n) for i, j in two])
    gg_column = mean(g, g, [(a, i, b, i) for a, b in reals for i in range(m)])
    hh_shared = mean(h, h, [(i, j, i, k) for i, j, k in three])
    hg_shared = mean(h, g, [(i, j, a, i) for i, j in two for a in range(n)])
    of_real = gg_row - gg_apart
    of_fakes = hh_shared - hh_apart + gg_column - gg_apart - 2 * (hg_shared - hg_apart)
    within = mean(h, h, [(i, j, i, j) for i, j in two]) - 2 * hh_shared + hh_apart
    across = mean(g, g, [(a, i, a, i) for a, i in cells]) - gg_row - gg_column + gg_apart
    variance = (
        4 / n * max(0, of_real)
        + 4 / m * max(0, of_fakes)
        + 2 / (m * (m - 1)) * within
        + 4 / (n * m) * across
    )
    return value, variance


@pytest.mark.parametrize(("n", "m", "seeds"), [(7, 7, 1), (6, 9, 2), (9, 5, 3)])
def test_value_and_variance_are_those_of_the_definition(n, m, seeds, monkeypatch):
    draws = Draws(0, dim=8)
    real = draws.real(n)
    pairs = [draws.pair(NEAR, Gaussian(0.9, 1.3), m) for _ in range(seeds)]
    value, variance = by_hand(real, pairs)
    for block, band in ((3, 2), (512, 4)):
        monkeypatch.setattr(kernels, "BLOCK", block)
        monkeypatch.setattr(kernels, "BAND", band)
        found = difference(KID(), real, pairs)
        assert found.value == pytest.approx(value, rel=0, abs=1e-10)
        assert found.standard_error is not None
        assert found.standard_error**2 == pytest.approx(variance, rel=1e-10)


def test_it_is_the_difference_of_the_scores_for_each_seed_and_each_two_models():
    draws = Draws(0)
    real = draws.real(40)
    models = [[model.of(draws.noise(30)) for _ in range(2)] for model in (REAL, NEAR, FAR)]
    scores = [[KID()(real, fake).value for fake in sets] for sets in models]
    found = model_differences(KID(), real, models)
    assert sorted(found) == [(0, 1), (0, 2), (1, 2)]
    for (a, b), told in found.items():
        by_seed = [second - first for first, second in zip(scores[a], scores[b], strict=True)]
        assert told.by_pair == pytest.approx(by_seed, abs=1e-12)
        assert told.value == pytest.approx(statistics.fmean(by_seed), abs=1e-12)
        pairs = list(zip(models[a], models[b], strict=True))
        alone = difference(KID(), real, pairs)
        assert alone.standard_error == pytest.approx(told.standard_error, rel=1e-9)
        back = difference(KID(), real, [(second, first) for first, second in pairs])
        assert back.value == pytest.approx(-told.value)
        assert back.p == pytest.approx(told.p)


def test_a_model_does_not_differ_from_itself():
    draws = Draws(0)
    fake = draws.noise(50)
    found = difference(KID(), draws.real(60), [(fake, fake.clone())])
    assert (found.value, found.standard_error, found.p) == (0, 0, 1)
    assert found.interval() == (0, 0)


def test_kid_of_infinitely_many_images_is_known():
    for a, b in ((REAL, FAR), (FAR, NEAR), (Gaussian(1, 0.5, 4), Gaussian(-0.5, 2, 4))):
        draws = Draws(0, a.dim)
        cubes = ((a.of(draws.noise(400_000)) * b.of(draws.noise(400_000))).mean(1) + 1) ** 3
        error = float(cubes.std()) / math.sqrt(len(cubes))
        assert abs(float(cubes.double().mean()) - kernel_mean(a, b)) < 4 * error


def trials(
    count: int, models: tuple[Gaussian, Gaussian], n: int, m: int, seeds: int = 1, shared=0.5
) -> list[Difference]:
    """Each of other noise and other real images."""
    draws = Draws(0)
    return [
        difference(KID(), draws.real(n), [draws.pair(*models, m, shared) for _ in range(seeds)])
        for _ in range(count)
    ]


def claimed(found: list[Difference]) -> float:
    return statistics.fmean(told.p < 0.05 for told in found)


def covered(found: list[Difference], truth: float, level: float = 0.95) -> float:
    ends = [told.interval(level) for told in found]
    return statistics.fmean(low <= truth <= high for low, high in ends)


def ratio(found: list[Difference]) -> float:
    """Of the estimated to the true standard error."""
    estimated = statistics.fmean(told.standard_error**2 for told in found)
    return math.sqrt(estimated) / statistics.stdev(told.value for told in found)


def test_a_network_against_itself_with_other_noise_is_said_to_differ_in_1_of_20_trials():
    found = trials(2000, (FAR, FAR), 100, 100, shared=0)
    assert 0.035 <= claimed(found) <= 0.065
    assert ratio(found) == pytest.approx(1, abs=0.07)


@pytest.mark.parametrize("dim", [2, 32])
def test_it_claims_no_more_where_images_are_as_real_ones(dim):
    """All terms of first order vanish; their estimates count as 0 below 0: fewer claims."""
    draws, same = Draws(0, dim), Gaussian(dim=dim)
    found = [
        difference(KID(), draws.noise(100), [draws.pair(same, same, 100, 0)]) for _ in range(1000)
    ]
    assert claimed(found) <= 0.05
    assert 0.98 <= ratio(found) <= 1.35


@pytest.mark.parametrize(
    ("n", "m", "models", "seeds"),
    [
        (100, 100, (NEAR, FAR), 1),
        (200, 80, (NEAR, FAR), 1),
        (80, 200, (FAR, NEAR), 1),
        (100, 100, (NEAR, FAR), 3),
    ],
)
def test_the_interval_covers_the_true_difference(n, m, models, seeds):
    found = trials(2000, models, n, m, seeds)
    assert 0.935 <= covered(found, kid(models[1]) - kid(models[0])) <= 0.965
    assert ratio(found) == pytest.approx(1, abs=0.07)


def test_it_covers_where_one_network_is_perfect():
    """The least regular case: the other's distance is seen from second order on."""
    found = trials(1000, (REAL, Gaussian(0.1)), 100, 100)
    assert 0.935 <= covered(found, kid(Gaussian(0.1))) <= 0.985


def test_more_seeds_do_not_average_the_real_images_error_away():
    """Few real images, and noise that is nearly all shared: three are as unsure as one."""
    one, three = (trials(150, (NEAR, FAR), 20, 400, seeds, shared=0.98) for seeds in (1, 3))
    errors = [statistics.fmean(told.standard_error for told in found) for found in (one, three)]
    assert errors[1] > 0.8 * errors[0]
    assert ratio(three) == pytest.approx(1, abs=0.2)


def test_pairing_makes_differences_surer():
    """Nearly all of the noise is shared, as by two trainings of one network."""
    alone, paired = (trials(200, (NEAR, FAR), 200, 200, shared=share) for share in (0, 0.98))
    spread = [statistics.stdev(told.value for told in found) for found in (alone, paired)]
    assert spread[1] < spread[0] / 2
    assert ratio(paired) == pytest.approx(1, abs=0.15)


class Mean:
    """The mean of a feature, of generated images only."""

    higher_is_better, ideal, biased, needs, features = True, None, False, None, None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        return Score(float(fake[:, 0].double().mean()))


class Gap:
    """Distance of the sets' means: real images matter, and images are not summed."""

    higher_is_better, ideal, biased, needs, features = False, 0.0, True, None, None

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        return Score(float((real.double().mean(0) - fake.double().mean(0)).norm()))


def jackknifed(metric, models: tuple[Gaussian, Gaussian], n: int, m: int, count: int, shared=0.5):
    draws = Draws(1)
    return [
        difference(metric, draws.real(n), [draws.pair(*models, m, shared)]) for _ in range(count)
    ]


def test_the_jackknife_of_a_mean_is_its_standard_error():
    """That of the groups' means, exactly; of other numbers of images, on average."""
    found = jackknifed(Mean(), (NEAR, FAR), 5, 93, 300)
    assert ratio(found) == pytest.approx(1, abs=0.12)
    assert 0.92 <= covered(found, FAR.mean - NEAR.mean) <= 0.98
    draws = Draws(0)
    y, z = draws.pair(NEAR, FAR, 5 * GROUPS)
    order = torch.from_numpy(np.random.default_rng(SEED).permutation(len(y)))
    groups = (z - y)[order, 0].double().reshape(GROUPS, 5).mean(1)
    told = difference(Mean(), y[:0], [(y, z)])
    assert told.standard_error == pytest.approx(float(groups.std()) / math.sqrt(GROUPS))
    assert told.degrees_of_freedom == GROUPS - 1


@pytest.mark.parametrize(("n", "m"), [(100, 100), (130, 70), (50, 219)])
def test_the_jackknife_holds_both_sides_errors(n, m):
    apart = Gaussian(-0.3, 1.1), FAR  # on either side of the real images, whose error counts twice
    assert 0.85 <= ratio(jackknifed(Gap(), apart, n, m, 200)) <= 1.25
    claims = claimed(jackknifed(Gap(), (FAR, FAR), n, m, 200, shared=0))
    assert claims == pytest.approx(0.05, abs=0.04)


def test_kid_by_jackknife_is_as_sure_as_by_its_joint_variance():
    draws = Draws(2)
    real, models = draws.real(400), [[Gaussian(m, 1.1).of(draws.noise(400))] for m in (0.3, 0.5)]
    exact, groups = model_differences(KID(), real, models), jackknife(KID(), real, models)
    assert groups[0, 1].value == pytest.approx(exact[0, 1].value)
    assert groups[0, 1].standard_error == pytest.approx(exact[0, 1].standard_error, rel=0.4)
    batches = difference(KID(estimator="batch_mean"), real, [(models[0][0], models[1][0])])
    assert batches.method == groups[0, 1].method


@pytest.mark.parametrize(
    ("metric", "at_most"),
    [
        (FID(), 1.6),
        (PrecisionRecall(), 2),
        (InceptionScore(splits=2), 1.6),
        (KID(estimator="batch_mean", batch_size=16), 3),  # each group left out mixes the batches
    ],
)
def test_every_metric_tells_how_sure_its_difference_is(metric, at_most):
    """Never too sure, and seldom unsure for nothing: by the spread over 40 pairs of sets."""
    models = Gaussian(0.2, 1.2, 6), Gaussian(0.2, 1.5, 6)
    draws = Draws(3, 6)
    found = [
        difference(metric, draws.noise(100), [draws.pair(*models, 100, 0.9)]) for _ in range(40)
    ]
    assert 0.8 <= ratio(found) <= at_most


def test_too_few_images_have_no_standard_error():
    draws = Draws(0)
    few = difference(KID(), draws.real(3), [draws.pair(NEAR, FAR, 30)])
    assert (few.standard_error, few.p, few.interval(), few.smallest_seen) == (None,) * 4
    few = difference(FID(), draws.real(100), [draws.pair(NEAR, FAR, 39)])
    assert few.standard_error is None
    assert few.method == "none: a jackknife of 20 groups needs 40 images"
    barely = difference(InceptionScore(splits=20), draws.real(9), [draws.pair(NEAR, FAR, 40)])
    assert barely.standard_error is None
    assert "lower splits" in barely.method


def test_unpaired_sets_are_refused():
    draws = Draws(0)
    with pytest.raises(InputError, match=r"sets have \[8, 9\] of them"):
        difference(KID(), draws.real(9), [(draws.noise(9), draws.noise(8))])
    with pytest.raises(InputError, match=r"have \[1, 2\] of them"):
        model_differences(KID(), draws.real(9), [[draws.noise(9)] * 2, [draws.noise(9)]])
    with pytest.raises(InputError, match="32 dimensions, generated 8"):
        difference(KID(), draws.real(9), [(draws.noise(9), draws.noise(9)[:, :8])])
