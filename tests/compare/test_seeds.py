"""Student's t over training seeds, its power, and the correction of many p-values."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from pipeline.compare.seeds import over_seeds, seeds_needed
from pipeline.plugin.inference import holm, interval, p_value, smallest_seen


def test_it_is_scipys_paired_t_test():
    first, second = [0.31, 0.28, 0.35, 0.30], [0.27, 0.26, 0.29, 0.31]
    found = over_seeds([b - a for a, b in zip(first, second, strict=True)])
    known = stats.ttest_rel(second, first)
    assert found.p == pytest.approx(known.pvalue)
    for level in (0.95, 0.5):
        ends = known.confidence_interval(level)
        assert found.interval(level) == pytest.approx((ends.low, ends.high))
    assert found.degrees_of_freedom == 3


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_the_interval_covers_and_equal_recipes_are_said_to_differ_in_1_of_20(seeds):
    draws = np.random.default_rng(0).normal(0.02, 0.01, (2000, seeds))
    ends = [over_seeds(row).interval() for row in draws]
    assert 0.935 <= statistics.fmean(low <= 0.02 <= high for low, high in ends) <= 0.965
    claims = statistics.fmean(over_seeds(row - 0.02).p < 0.05 for row in draws)
    assert 0.035 <= claims <= 0.065


@pytest.mark.parametrize(("seeds", "deviation"), [(2, 0.01), (3, 0.01), (8, 2.0)])
def test_the_smallest_seen_is_seen_in_4_of_5_trials(seeds, deviation):
    effect = smallest_seen(deviation / math.sqrt(seeds), seeds - 1)
    draws = np.random.default_rng(0).normal(effect, deviation, (4000, seeds))
    found = stats.ttest_1samp(draws, 0, axis=1)
    assert np.mean(found.pvalue < 0.05) == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("effect", [0.3, 1.0, 2.5, 30.0])
def test_seeds_needed_are_the_fewest_with_that_power(effect):
    needed = seeds_needed(1.0, effect)
    draws = np.random.default_rng(0).normal(effect, 1, (4000, needed))
    power = [np.mean(stats.ttest_1samp(draws[:, :k], 0, axis=1).pvalue < 0.05)
             for k in range(max(2, needed - 1), needed + 1)]  # fmt: skip
    assert power[-1] > 0.79
    assert needed == 2 or power[0] < 0.81
    assert seeds_needed(0.01, 0.01 * effect) == needed
    assert needed == 2 or smallest_seen(1 / math.sqrt(needed - 1), needed - 2) > effect


def test_seeds_needed_has_an_end():
    assert seeds_needed(0.0, 0.1) == 2
    assert seeds_needed(1.0, 1e-3) == pytest.approx((2.8016 / 1e-3) ** 2, rel=1e-4)
    with pytest.raises(ValueError, match="above 0"):
        seeds_needed(1.0, 0.0)


def test_one_seed_has_no_interval():
    with pytest.raises(ValueError, match="needs 2 of them, got 1"):
        over_seeds([0.1])


def test_without_a_spread_nothing_is_claimed():
    same = over_seeds([0.25, 0.25, 0.25])
    assert (same.p, same.interval()) == (None, None)
    none = over_seeds([0.0, 0.0])
    assert (none.p, none.interval()) == (1, (0, 0))


def test_infinite_degrees_of_freedom_are_the_normal_distribution():
    assert p_value(-1.96, 1, math.inf) == pytest.approx(0.05, abs=1e-4)
    assert interval(1, 0.5, math.inf) == pytest.approx((1 - 0.98, 1 + 0.98), abs=1e-4)
    assert smallest_seen(1, math.inf) == pytest.approx(1.95996 + 0.84162, abs=1e-4)


def test_holm_multiplies_by_what_is_left_and_keeps_the_order():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_holm_claims_anything_false_in_1_of_20_families():
    """One true difference and three nulls that depend on each other, as pairs of variants do."""
    draws = np.random.default_rng(0).normal(size=(4000, 3))
    nulls = np.stack([draws[:, 0] - draws[:, 1], draws[:, 1] - draws[:, 2], draws[:, 0]], 1)
    scores = nulls / [math.sqrt(2), math.sqrt(2), 1]
    p_values = np.concatenate([np.full((4000, 1), 1e-6), 2 * stats.norm.sf(abs(scores))], 1)
    false = [min(holm(list(row))[1:]) < 0.05 for row in p_values]
    plain = [min(row[1:]) < 0.05 for row in p_values]
    assert 0.025 <= statistics.fmean(false) <= 0.055
    assert statistics.fmean(plain) > 0.1
