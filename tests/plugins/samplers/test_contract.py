"""Samplers against the exact solution for Gaussian data, and every registered one's contract."""

from itertools import pairwise

import pytest
import torch

from pipeline import CLEAN, Prediction, Rates
from pipeline.diffusion.levels import levels
from pipeline.plugin.draws import Draws
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline_samplers.ddim import DDIM
from pipeline_samplers.ddpm import DDPM
from pipeline_samplers.dpmpp_2m import DPMpp2M
from pipeline_samplers.dpmpp_2m_sde import DPMpp2MSDE
from pipeline_samplers.euler_ancestral import EulerAncestral
from pipeline_samplers.heun import Heun
from pipeline_samplers.unipc import UniPC
from pipeline_schedules.cosine import Cosine
from pipeline_spacings.karras import Karras
from pipeline_spacings.log_snr import LogSNR
from pipeline_spacings.uniform import Uniform
from tests.helpers.analytic import (
    GaussianData,
    NoDraws,
    exploding,
    flow,
    karras,
    noisy_levels,
    order_of,
    registered_schedules,
    variance_of,
    widest,
)

SCHEDULES = {"vp": Cosine(), "ve": exploding, "flow": flow}
EVERY_SCHEDULE = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
ALL_SCHEDULES = {
    **{f"{name}_stand_in": schedule for name, schedule in SCHEDULES.items()},
    **registered_schedules(examples=True),
    "widest": widest,
}
REGISTRY = Registry.load()
SAMPLERS = [build_stage(REGISTRY, "sampler", e.name) for e in REGISTRY.entries("sampler")]
STOCHASTIC = [
    DDPM(), DDPM(variance="large"), DDIM(eta=1.0), DDIM(eta=0.5),
    EulerAncestral(), EulerAncestral(eta=0.5),
]  # fmt: skip
OTHERS = [
    EulerAncestral(eta=1.5),
    DPMpp2MSDE(eta=0.0),
    DPMpp2MSDE(eta=0.5),
    Heun(churn=20.0),
    Heun(churn=20.0, churn_min=1.0, churn_max=3.0, churn_noise=1.007),
    UniPC(solver_order=1),
    UniPC(solver_order=3),
]
EVERY_SAMPLER = pytest.mark.parametrize("sampler", [*SAMPLERS, *STOCHASTIC[1:], *OTHERS], ids=str)


def two_channels() -> GaussianData:
    return GaussianData([0.7, -0.4], [[0.5, 0.3], [0.3, 0.9]])


def one_channel() -> GaussianData:
    return GaussianData([0.7], [[0.25]])


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def draws(rows: int) -> Draws:
    return Draws(0, "sample", range(rows))


def ode_error(sampler, schedule, num_steps: int) -> float:
    """Root mean square distance to the exact solution between two noisy levels."""
    data, steps, z = two_channels(), noisy_levels(schedule, num_steps), noise(16, 2, 4, 4)
    end = sampler(data.denoise, data.draw(z, steps[0]), steps, NoDraws())
    assert data.calls == sampler.nfe(num_steps)
    return float((end - data.draw(z, steps[-1])).square().mean().sqrt())


@EVERY_SCHEDULE
def test_ddim_converges_to_the_exact_solution_with_order_1(schedule):
    steps = [64, 128, 256, 512]
    errors = [ode_error(DDIM(), schedule, n) for n in steps]
    assert errors[-1] < 0.01
    assert order_of(errors, steps) == pytest.approx(DDIM().order, abs=0.03)


@EVERY_SCHEDULE
@pytest.mark.parametrize("sampler", STOCHASTIC, ids=str)
def test_variance_of_stochastic_samplers_converges_to_the_exact_one_with_order_1(sampler, schedule):
    data, steps = one_channel(), [100, 200, 400]
    exact = data.at(noisy_levels(schedule, 1)[-1])[1].item()
    found = [variance_of(sampler, data, noisy_levels(schedule, n)) for n in steps]
    errors = [abs(v - exact) for v in found]
    assert errors[-1] < 0.02 * exact
    assert order_of(errors, steps) == pytest.approx(1, abs=0.08)


@EVERY_SCHEDULE
def test_ddim_with_eta_1_is_ddpm(schedule):
    data, steps = two_channels(), [*noisy_levels(schedule, 20), CLEAN]
    start = data.draw(noise(4, 2, 3, 3), steps[0])
    ddim = DDIM(eta=1.0)(data.denoise, start, steps, draws(4))
    ddpm = DDPM(variance="small")(data.denoise, start, steps, draws(4))
    torch.testing.assert_close(ddim, ddpm, rtol=0, atol=1e-10)
    large = DDPM(variance="large")(data.denoise, start, steps, draws(4))
    assert (large - ddpm).abs().max() > 1e-2


def test_ddpm_is_the_papers_algorithm_2():
    """Ho et al. 2020, in their alphas and betas, for a network that is not the exact one."""
    steps = levels(Cosine(), 10, Uniform())[:-1]
    x, seen = noise(2, 3, 4, 4), noise(10, 2, 3, 4, 4, seed=1)
    z = draws(2)
    expected, epsilons = x, iter(seen)
    for now, then in pairwise(steps):
        alpha_bar, alpha_bar_before = now.signal**2, then.signal**2
        step = alpha_bar / alpha_bar_before  # alpha_t
        eps = next(epsilons)
        mean = (expected - (1 - step) / (1 - alpha_bar) ** 0.5 * eps) / step**0.5  # eq. 11
        variance = (1 - alpha_bar_before) / (1 - alpha_bar) * (1 - step)
        expected = mean + variance**0.5 * z.normal(x)
    outputs = iter(seen)

    def denoise(x, rates):
        eps = next(outputs)
        return Prediction((x - rates.noise * eps) / rates.signal, eps)

    found = DDPM()(denoise, x, steps, draws(2))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_eta_says_how_much_noise_there_is():
    data, steps = two_channels(), levels(Cosine(), 10, Uniform())
    start = data.draw(noise(4, 2, 3, 3), steps[0])
    ends = [DDIM(eta=eta)(data.denoise, start, steps, draws(4)) for eta in (0.0, 0.5, 1.0)]
    assert (ends[0] - ends[1]).abs().max() > 1e-2
    assert (ends[1] - ends[2]).abs().max() > 1e-2
    assert torch.equal(ends[0], DDIM()(data.denoise, start, steps, NoDraws()))


def test_levels_are_at_t_1_minus_k_over_n_and_then_clean():
    for count in (1, 2, 5, 20):
        found = levels(Cosine(), count, Uniform())
        expected = Cosine()(1 - torch.arange(count, dtype=torch.float64) / count)
        assert found[:-1] == list(zip(*(r.tolist() for r in expected), strict=True))
        assert found[-1] == (1.0, 0.0)
        assert len(found) == count + 1


@EVERY_SAMPLER
class TestEverySampler:
    @pytest.mark.parametrize("schedule", ALL_SCHEDULES.values(), ids=ALL_SCHEDULES)
    @pytest.mark.parametrize("spacing", [Uniform(), Karras()], ids=repr)
    def test_ends_in_the_last_x0_at_the_declared_cost(self, sampler, schedule, spacing):
        data, seen = two_channels(), []

        def denoise(x, rates):
            found = data.denoise(x.double(), rates)
            seen.append(found.x0.to(x.dtype))
            return Prediction(seen[-1], found.eps.to(x.dtype))

        for num_steps, dtype in ((1, torch.float64), (1, torch.float32), (2, torch.float64),
                                 (3, torch.float32), (5, torch.float64)):  # fmt: skip
            seen.clear()
            steps = levels(schedule, num_steps, spacing)
            start = (noise(4, 2, 3, 3) * steps[0].c).to(dtype)
            end = sampler(denoise, start, steps, draws(4))
            assert torch.equal(end, seen[-1])
            assert end.isfinite().all()
            assert end.dtype == dtype
            assert len(seen) == sampler.nfe(num_steps)

    @pytest.mark.parametrize("schedule", [karras, widest])
    def test_single_precision_will_do_for_the_widest_schedules(self, sampler, schedule):
        data, steps = two_channels(), levels(schedule, 40, LogSNR())

        def denoise(x, rates):
            return Prediction(*(part.to(x.dtype) for part in data.denoise(x.double(), rates)))

        class Rounded(Draws):
            """The same numbers for both precisions."""

            def normal(self, like):
                return super().normal(like.float()).to(like)

        start = (noise(4, 2, 3, 3) * steps[0].c).float()
        ends = [
            sampler(denoise, x, steps, Rounded(0, "sample", range(4))).double()
            for x in (start, start.double())
        ]
        torch.testing.assert_close(*ends, rtol=0, atol=1e-4)

    def test_changes_neither_its_input_nor_what_the_network_said(self, sampler):
        data, kept = two_channels(), []

        def denoise(x, rates):
            found = data.denoise(x, rates)
            kept.append((x, x.clone(), found, Prediction(*(part.clone() for part in found))))
            return found

        start = noise(4, 2, 3, 3)
        before, steps = start.clone(), levels(Cosine(), 4, Uniform())
        sampler(denoise, start, steps, draws(4))
        assert torch.equal(start, before)
        assert steps == levels(Cosine(), 4, Uniform())
        for x, x_before, found, found_before in kept:
            assert torch.equal(x, x_before)
            assert all(map(torch.equal, found, found_before))

    def test_keeps_shape_and_dtype(self, sampler):
        data = GaussianData([0.1, 0.2, 0.3], torch.eye(3).tolist())

        def denoise(x, rates):
            return Prediction(*(part.float() for part in data.denoise(x.double(), rates)))

        end = sampler(denoise, noise(2, 3, 4, 6).float(), levels(Cosine(), 3, Uniform()), draws(2))
        assert end.shape == (2, 3, 4, 6)
        assert end.dtype == torch.float32

    def test_an_image_does_not_depend_on_its_batch(self, sampler):
        data, steps = two_channels(), levels(Cosine(), 5, Uniform())
        start = noise(4, 2, 3, 3)
        together = sampler(data.denoise, start, steps, draws(4))
        alone = sampler(data.denoise, start[2:3], steps, Draws(0, "sample", [2]))
        torch.testing.assert_close(together[2:3], alone, rtol=0, atol=1e-12)


def test_rates_are_handed_on_as_they_are():
    """What denoise is told is the level of the x that it gets, in order, without the clean one."""
    asked, steps = [], levels(Cosine(), 4, Uniform())

    def denoise(x: torch.Tensor, rates: Rates[float]) -> Prediction:
        asked.append(rates)
        return Prediction(x, x)

    for sampler in (DDIM(), DDPM(), EulerAncestral(), DPMpp2M(), DPMpp2MSDE(), UniPC()):
        asked.clear()
        sampler(denoise, noise(1, 1, 2, 2), steps, draws(1))
        assert asked == steps[:-1]
    asked.clear()
    Heun()(denoise, noise(1, 1, 2, 2), steps, draws(1))
    assert asked == [steps[k] for k in (0, 1, 1, 2, 2, 3, 3)]
