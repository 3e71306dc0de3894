"""Heun's sampler against algorithm 2 as it is printed, and what its churn does."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from pipeline import CLEAN, InputError
from pipeline.diffusion.levels import levels
from pipeline.plugin.draws import Draws
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline_samplers.heun import Heun
from pipeline_schedules.cosine import Cosine
from pipeline_spacings.log_snr import LogSNR
from pipeline_spacings.uniform import Uniform
from tests.helpers.analytic import (
    GaussianData,
    MixtureData,
    NoDraws,
    exploding,
    flow,
    karras,
    noisy_levels,
    order_of,
    variance_of,
    widest,
)

SCHEDULES = {"vp": Cosine(), "ve": exploding, "flow": flow, "karras": karras}
EVERY_SCHEDULE = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def draws() -> Draws:
    return Draws(0, "sample", range(4))


def mixture() -> MixtureData:
    return MixtureData([0.3, 0.7], [-0.8, 1.0], [0.4, 0.5])


def algorithm_2(data, x, steps, s_churn=0.0, s_tmin=0.0, s_tmax=float("inf"), s_noise=1.0):
    """Karras et al. 2022, in their names, of xbar = x / signal; D at sigma is the signal's own."""
    numbers, count = draws(), len(steps) - 1
    x = x / steps[0].signal

    def network(x, t, signal):
        return data.denoise(signal * x, steps[0]._replace(signal=signal, noise=signal * t)).x0

    for now, then in pairwise(steps):
        t, t_next = now.sigma, then.sigma
        gamma = min(s_churn / count, 2**0.5 - 1) if s_tmin <= t <= s_tmax else 0.0
        t_hat = t + gamma * t
        if gamma:
            x = x + (t_hat**2 - t**2) ** 0.5 * s_noise * numbers.normal(x)
        d = (x - network(x, t_hat, now.signal)) / t_hat
        x_next = x + (t_next - t_hat) * d
        if t_next:
            d_next = (x_next - network(x_next, t_next, then.signal)) / t_next
            x_next = x + (t_next - t_hat) * (d + d_next) / 2
        x = x_next
    return steps[-1].signal * x


OPTIONS = [
    {},
    {"churn": 2.0},
    {"churn": 40.0},
    {"churn": 40.0, "churn_min": 0.6, "churn_max": 2.0, "churn_noise": 1.007},
]


@EVERY_SCHEDULE
@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_is_the_papers_algorithm_2(schedule, clean, options):
    data, steps = mixture(), [*noisy_levels(schedule, 12), *([CLEAN] if clean else [])]
    start = data.draw(noise(4, 1, 3, 3), steps[0])
    names = {"churn": "s_churn", "churn_min": "s_tmin", "churn_max": "s_tmax"}
    theirs = {names.get(name, "s_noise"): value for name, value in options.items()}
    expected = algorithm_2(data, start, steps, **theirs)
    found = Heun(**options)(data.denoise, start, steps, draws())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@EVERY_SCHEDULE
def test_every_option_counts(schedule):
    data, steps = mixture(), noisy_levels(schedule, 12)
    start = data.draw(noise(4, 1, 3, 3), steps[0])
    found = [Heun(**options)(data.denoise, start, steps, draws()) for options in OPTIONS]
    for option in ("churn_min", "churn_max", "churn_noise"):
        options = {name: value for name, value in OPTIONS[-1].items() if name != option}
        found.append(Heun(**options)(data.denoise, start, steps, draws()))
    for i, one in enumerate(found):
        assert all((one - other).abs().max() > 1e-6 for other in found[:i])


@EVERY_SCHEDULE
@pytest.mark.parametrize("options", [{"churn": 5.0}, {"churn": 20.0, "churn_min": 0.1}], ids=str)
def test_variance_with_churn_converges_to_the_exact_one_with_order_2(schedule, options):
    data, steps = GaussianData([0.7], [[0.25]]), [100, 200, 400]
    exact = data.at(noisy_levels(schedule, 1)[-1])[1].item()
    sampler = Heun(**options)
    errors = [abs(variance_of(sampler, data, noisy_levels(schedule, n)) - exact) for n in steps]
    assert errors[-1] < 0.001 * exact
    assert order_of(errors, steps) == pytest.approx(2, abs=0.1)
    noisier = Heun(**options, churn_noise=1.1)
    assert variance_of(noisier, data, noisy_levels(schedule, 400)) > 1.01 * exact


@pytest.mark.parametrize("schedule", [Cosine(), widest, karras])
def test_it_asks_above_the_first_level_by_root_2_at_most(schedule):
    data, asked = mixture(), []

    def denoise(x, rates):
        asked.append(rates)
        return data.denoise(x, rates)

    steps = levels(schedule, 5, LogSNR())
    end = Heun(churn=1e6)(denoise, noise(4, 1, 3, 3) * steps[0].c, steps, draws())
    assert end.isfinite().all()
    assert max(r.sigma for r in asked) == pytest.approx(2**0.5 * steps[0].sigma, rel=1e-12)
    asked.clear()
    bounded = Heun(churn=1e6, churn_max=0.9 * steps[0].sigma)
    bounded(denoise, noise(4, 1, 3, 3) * steps[0].c, steps, draws())
    assert max(r.sigma for r in asked) == steps[0].sigma


def test_the_range_of_churn_has_its_ends():
    """As in the paper, [S_tmin, S_tmax]: one level will do."""
    data, steps, asked = mixture(), noisy_levels(Cosine(), 5), []

    def denoise(x, rates):
        asked.append(rates)
        return data.denoise(x, rates)

    here = steps[2].sigma
    sampler = Heun(churn=1.0, churn_min=here, churn_max=here)
    sampler(denoise, noise(4, 1, 3, 3), steps, draws())
    assert [r for r in asked if r not in steps] == [steps[2]._replace(noise=1.2 * steps[2].noise)]


def test_order_and_draws_depend_on_churn():
    assert (Heun().order, Heun(churn=1.0).order) == (2, None)
    assert [Heun(churn=c).nfe(n) for c in (0.0, 9.0) for n in (1, 2, 10)] == [1, 3, 19] * 2
    data, steps = mixture(), levels(Cosine(), 3, Uniform())
    Heun()(data.denoise, noise(4, 1, 3, 3), steps, NoDraws())
    with pytest.raises(AssertionError, match="drew random numbers"):
        Heun(churn=1.0)(data.denoise, noise(4, 1, 3, 3), steps, NoDraws())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"churn_min": 0.0}, "churn_min has no effect without churn"),
        ({"churn_max": 50.0}, "churn_max has no effect without churn"),
        ({"churn": 0.0, "churn_noise": 1.0}, "churn_noise has no effect without churn"),
        ({"churn": 1.0, "churn_min": 2.0, "churn_max": 1.0}, "should not be below churn_min"),
        ({"churn": -1.0}, "churn: should be greater than or equal to 0"),
    ],
)
def test_options_without_effect_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        build_stage(Registry.load(), "sampler", {"name": "heun", **options})
