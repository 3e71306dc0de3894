"""Exact denoisers with every registered schedule: samplers converge from its t = 1 to its t = 0.

Levels are evenly spaced in log-SNR. Evenly in t, a first or last step of schedules that run up to
the bound (all but cosine and karras) covers a fixed share of log-SNR however many steps there are,
and a multistep method of second order falls to between 1 and 1.6.
"""

from __future__ import annotations

import pytest
import torch

from pipeline.diffusion.levels import levels
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline_samplers.ddim import DDIM
from pipeline_samplers.dpmpp_2m import DPMpp2M
from pipeline_spacings.karras import Karras
from pipeline_spacings.log_snr import LogSNR
from pipeline_spacings.uniform import Uniform
from tests.helpers.analytic import GaussianData, MixtureData, NoDraws, noisy_levels, order_of

REGISTRY = Registry.load()
NAMES = [entry.name for entry in REGISTRY.entries("schedule")]
DATA = {
    "gaussian": GaussianData([0.7, -0.4], [[0.5, 0.3], [0.3, 0.9]]),
    "mixture": MixtureData([0.3, 0.7], [-0.8, 1.0], [0.4, 0.5]),
}
EVERY_DATA = pytest.mark.parametrize("data", DATA.values(), ids=DATA)


def noise(data: GaussianData | MixtureData) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    channels = 2 if isinstance(data, GaussianData) else 1
    return torch.randn(4, channels, 4, 4, dtype=torch.float64, generator=draw)


@EVERY_DATA
@pytest.mark.parametrize("sampler", [DDIM(), DPMpp2M()], ids=["ddim", "dpmpp_2m"])
@pytest.mark.parametrize("name", NAMES)
def test_samplers_converge_to_the_exact_solution(name, sampler, data):
    schedule, z = build_stage(REGISTRY, "schedule", name), noise(data)
    steps, errors = [128, 256, 512], []
    for count in steps:
        noisy = levels(schedule, count + 1, LogSNR())[:-1]
        end = sampler(data.denoise, data.draw(z, noisy[0]), noisy, NoDraws())
        errors.append(float((end - data.draw(z, noisy[-1])).square().mean().sqrt()))
    assert errors[-1] < 0.02
    assert order_of(errors, steps) >= sampler.order - 0.2


@EVERY_DATA
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spacing", [Uniform(), LogSNR(), Karras()], ids=repr)
def test_a_clean_end_is_the_last_x0_at_any_number_of_steps(name, spacing, data):
    schedule, z = build_stage(REGISTRY, "schedule", name), noise(data)
    for count in (1, 2, 7):
        found = levels(schedule, count, spacing)
        start = data.draw(z, found[0])
        end = DDIM()(data.denoise, start, found, NoDraws())
        assert end.isfinite().all()
        noisy = DDIM()(data.denoise, start, found[:-1], NoDraws())
        torch.testing.assert_close(end, data.denoise(noisy, found[-2]).x0)


@EVERY_DATA
@pytest.mark.parametrize("name", NAMES)
def test_first_order_converges_on_levels_evenly_spaced_in_t_too(name, data):
    schedule, z = build_stage(REGISTRY, "schedule", name), noise(data)
    steps, errors = [128, 256, 512], []
    for count in steps:
        noisy = noisy_levels(schedule, count)
        end = DDIM()(data.denoise, data.draw(z, noisy[0]), noisy, NoDraws())
        errors.append(float((end - data.draw(z, noisy[-1])).square().mean().sqrt()))
    assert errors[-1] < 0.02
    assert order_of(errors, steps) >= 0.8
