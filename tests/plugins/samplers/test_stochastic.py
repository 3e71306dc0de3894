"""Stochastic samplers: the distributions that their random paths reach, from q(x_1) to t = 0."""

from __future__ import annotations

import pytest
import torch

from pipeline.plugin.draws import Draws
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline_samplers.ddim import DDIM
from pipeline_samplers.dpmpp_2m_sde import DPMpp2MSDE
from pipeline_samplers.euler_ancestral import EulerAncestral
from pipeline_samplers.heun import Heun
from pipeline_schedules.cosine import Cosine
from pipeline_spacings.log_snr import LogSNR
from tests.helpers.analytic import (
    GaussianData,
    MixtureData,
    exploding,
    flow,
    karras,
    noisy_levels,
    order_of,
    registered_schedules,
    spaced_levels,
    variance_of,
    widest,
)

SCHEDULES = {"vp": Cosine(), "ve": exploding, "flow": flow, "karras": karras}
EVERY_SCHEDULE = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
WIDE = {**registered_schedules(), "widest": widest}
EVERY_WIDE = pytest.mark.parametrize("schedule", WIDE.values(), ids=WIDE)
DATA = {
    "gaussian": lambda: GaussianData([0.7, -0.4], [[0.5, 0.3], [0.3, 0.9]]),
    "mixture": lambda: MixtureData([0.3, 0.7], [-0.8, 1.0], [0.4, 0.5]),
}
EVERY_DATA = pytest.mark.parametrize("data", [make() for make in DATA.values()], ids=DATA)
REGISTRY = Registry.load()
DEFAULTS = [build_stage(REGISTRY, "sampler", e.name) for e in REGISTRY.entries("sampler")]
STOCHASTIC = [
    *(s for s in DEFAULTS if s.order is None),
    DDIM(eta=1.0),
    EulerAncestral(eta=1.5),
    DPMpp2MSDE(eta=0.5),
    Heun(churn=40.0),
]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def channels(data) -> int:
    return 2 if isinstance(data, GaussianData) else 1


def check_moments(data, levels, end):
    """Mean and covariance are q(x)'s within 4 standard errors of the pixels of ``end``."""
    mean, covariance = data.at(levels[-1])
    away = end.transpose(0, 1).flatten(1) - mean[:, None]
    products = away[:, None] * away[None]
    count = away.shape[1]
    assert (away.mean(1).abs() < 4 * away.std(1) / count**0.5).all()
    error = products.std(-1) / count**0.5
    assert ((products.mean(-1) - covariance).abs() < 4 * error).all()


@EVERY_DATA
@EVERY_SCHEDULE
@pytest.mark.parametrize("sampler", STOCHASTIC, ids=str)
def test_stochastic_samplers_reach_mean_and_covariance_at_t_0(sampler, schedule, data):
    levels = noisy_levels(schedule, 300)
    start = data.draw(noise(4, channels(data), 32, 32), levels[0])
    check_moments(data, levels, sampler(data.denoise, start, levels, Draws(0, "sample", range(4))))


@EVERY_DATA
@EVERY_WIDE
@pytest.mark.parametrize(
    "sampler", [*(s for s in DEFAULTS if s.order is None), Heun(churn=40.0)], ids=str
)
def test_stochastic_samplers_reach_them_on_every_registered_schedule(sampler, schedule, data):
    levels = spaced_levels(schedule, 400, LogSNR())
    start = data.draw(noise(2, channels(data), 32, 32), levels[0])
    check_moments(data, levels, sampler(data.denoise, start, levels, Draws(0, "sample", range(2))))


@EVERY_SCHEDULE
@pytest.mark.parametrize("sampler", STOCHASTIC, ids=str)
def test_stochastic_samplers_reach_both_modes_of_a_mixture(sampler, schedule):
    """Kolmogorov-Smirnov: ranks of 4,096 pixels are uniform, but for the bias of 300 steps."""
    data, levels = MixtureData([0.3, 0.7], [-1.0, 1.0], [0.3, 0.4]), noisy_levels(schedule, 300)
    start = data.draw(noise(4, 1, 32, 32), levels[0])
    end = sampler(data.denoise, start, levels, Draws(0, "sample", range(4)))
    ranks = data.below(end, levels[-1]).flatten().sort().values
    even = (torch.arange(len(ranks), dtype=torch.float64) + 0.5) / len(ranks)
    assert (ranks - even).abs().max() < 1.95 / len(ranks) ** 0.5


@EVERY_SCHEDULE
@pytest.mark.parametrize("eta", [1.5, 2.0])
def test_variance_of_euler_ancestral_converges_with_more_noise_than_ddpms_too(eta, schedule):
    data, steps = GaussianData([0.7], [[0.25]]), [400, 800, 1600]
    exact = data.at(noisy_levels(schedule, 1)[-1])[1].item()
    found = [variance_of(EulerAncestral(eta=eta), data, noisy_levels(schedule, n)) for n in steps]
    errors = [abs(variance - exact) for variance in found]
    assert errors[-1] < 0.025 * exact
    assert order_of(errors, steps) == pytest.approx(1, abs=0.05)


@EVERY_SCHEDULE
@pytest.mark.parametrize("eta", [0.5, 1.0, 2.0])
def test_variance_of_dpmpp_2m_sde_converges_to_the_exact_one_with_order_2(eta, schedule):
    data, steps = GaussianData([0.7], [[0.25]]), [100, 200, 400]
    exact = data.at(noisy_levels(schedule, 1)[-1])[1].item()
    found = [variance_of(DPMpp2MSDE(eta=eta), data, noisy_levels(schedule, n)) for n in steps]
    errors = [abs(variance - exact) for variance in found]
    assert errors[-1] < 0.001 * exact
    assert order_of(errors, steps) == pytest.approx(2, abs=0.1)
