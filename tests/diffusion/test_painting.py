"""Drawing from images by any sampler: exact where it can be, and as costly as it is said."""

from __future__ import annotations

import pytest
import torch

from pipeline.diffusion import painting
from pipeline.diffusion.levels import levels
from pipeline.diffusion.painting import Painting, keeping
from pipeline.plugin.contracts import Sampler
from pipeline.plugin.draws import Draws
from pipeline.plugin.registry import Registry
from pipeline.plugin.values import Prediction, Rates
from pipeline.recipe.build import build_stage
from pipeline_schedules.cosine import Cosine
from pipeline_schedules.karras import Karras
from pipeline_spacings.log_snr import LogSNR
from pipeline_spacings.uniform import Uniform

REGISTRY = Registry.load()
SAMPLERS = [entry.name for entry in REGISTRY.entries("sampler")]
SCHEDULE = Cosine(max_signal_rate=0.999)
RHO, KNOWN, COUNT = 0.9, 1.5, 2000


def sampler_of(name: str) -> Sampler:
    return build_stage(REGISTRY, "sampler", name)


def of_two_pixels(x: torch.Tensor, rates: Rates[float]) -> Prediction:
    """The exact denoiser of images of two pixels, normal with the correlation RHO."""
    covariance = torch.tensor([[1, RHO], [RHO, 1]], dtype=x.dtype)
    of_x = rates.signal**2 * covariance + rates.noise**2 * torch.eye(2, dtype=x.dtype)
    gain = rates.signal * covariance @ torch.linalg.inv(of_x)
    x0 = (x.flatten(1) @ gain.T).reshape(x.shape)
    return Prediction(x0, (x - rates.signal * x0) / rates.noise)


def drawn_beside(sampler: Sampler, num_steps: int) -> torch.Tensor:
    """Second pixels (COUNT,) beside first ones that are KNOWN."""
    x0 = torch.tensor([[[[KNOWN, 0.0]]]]).double().expand(COUNT, 1, 1, 2)
    anew = torch.tensor([[[[False, True]]]]).expand(COUNT, 1, 1, 2)
    down, draws = levels(SCHEDULE, num_steps, Uniform()), Draws(0, "sample", range(COUNT))
    eps = draws.normal(x0)
    x = torch.where(anew, down[0].c * eps, down[0].signal * x0 + down[0].noise * eps)
    end = painting.resampled(sampler, keeping(of_two_pixels, x0, anew), x, down, draws)
    assert (end[..., 0] - KNOWN).abs().max() < 1e-9
    return end[..., 1].flatten()


@pytest.mark.parametrize("name", ["ddim", "ddpm", "dpmpp_2m", "heun"])
def test_what_is_drawn_fits_what_is_kept(name: str) -> None:
    """Given one pixel, the other is normal with mean RHO * KNOWN and variance 1 - RHO²."""
    drawn = drawn_beside(sampler_of(name), 50)
    assert float(drawn.mean()) == pytest.approx(RHO * KNOWN, rel=0.08)
    assert float(drawn.std()) == pytest.approx((1 - RHO**2) ** 0.5, rel=0.08)


def test_gone_once_it_would_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting, "PASSES", 1)
    assert float(drawn_beside(sampler_of("ddim"), 50).mean()) < 0.6 * RHO * KNOWN


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", [SCHEDULE, Karras()])
def test_any_sampler_keeps_what_is_known_and_costs_what_is_said(name: str, schedule) -> None:
    sampler, calls = sampler_of(name), 0
    x0, anew = torch.randn(2, 1, 4, 4), torch.rand(2, 1, 4, 4) < 0.5

    def network(x: torch.Tensor, rates: Rates[float]) -> Prediction:
        nonlocal calls
        calls += 1
        assert (((x - rates.signal * x0) / rates.noise)[~anew]).abs().max() < 6  # noise of size 1
        return Prediction(torch.tanh(x), (x - rates.signal * torch.tanh(x)) / rates.noise)

    down = levels(schedule, 7, LogSNR(), 0.7)
    asked = Painting(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), down, 0.7, anew)
    x = down[0].signal * x0 + down[0].noise * torch.randn(2, 1, 4, 4)
    draws = Draws(0, "sample", range(2))
    end = painting.resampled(sampler, keeping(network, x0, anew), x, down, draws)
    assert torch.allclose(end[~anew], x0[~anew], atol=1e-4)
    assert not torch.allclose(end[anew], x0[anew], atol=1e-2)
    assert calls == asked.evaluations(sampler)


def test_levels_begin_at_the_strength_and_go_on_below_it() -> None:
    whole = levels(SCHEDULE, 10, Uniform())
    assert levels(SCHEDULE, 10, Uniform(), 1.0) == whole
    assert levels(SCHEDULE, 10, Uniform(), 0.6) == whole[4:]  # not 0.6 twice
    assert len(levels(SCHEDULE, 10, Uniform(), 0.65)) == len(whole) - 3
    alone = levels(SCHEDULE, 10, Uniform(), 0.01)
    assert len(alone) == 2
    assert alone[0].noise == pytest.approx(float(SCHEDULE(torch.tensor(0.01).double()).noise))


@pytest.mark.parametrize("name", SAMPLERS)
def test_image_to_image_costs_what_a_sampler_says_for_the_levels_below(name: str) -> None:
    sampler, pixels = sampler_of(name), torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    asked = Painting(pixels, levels(SCHEDULE, 20, Uniform(), 0.6), 0.6)
    assert asked.evaluations(sampler) == sampler.nfe(12)
