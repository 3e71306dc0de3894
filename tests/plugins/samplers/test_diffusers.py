"""Samplers against diffusers' schedulers: the same network, levels and noise, the same images.

The network was trained, for seconds, on drawn flowers of 16×16; beside it an exact mixture.

What differs, and why ours is right:

- Ours take the levels as they are. diffusers lowers the order near the end (``lower_order_final``),
  of DPM-Solver++ for under 15 steps and of UniPC always, also where the last level is noisy; that
  costs a whole order of convergence there, which ``test_convergence.py`` measures. At a last level
  that is clean both end in x0. So its option is on for clean ends, off for noisy ones; UniPC of
  order 3 is compared at noisy ends only.
- Its UniPC with B(h) = h makes NaN of a last level that is clean (infinity times 0), ours x0; so
  bh1 is compared at noisy ends only.
- Its Heun has no churn: it cannot ask the network between the levels that it was trained on. Its
  Euler can add churn, but asks the network for the level before, so with less noise than there is.
  ``test_heun.py`` compares ours with the paper's algorithm 2 instead.
- Its Heun ends in x0, as ours. So that the step to a noisy end is corrected too, as in the paper,
  it is given that level twice.
- Its samples of Heun, Euler and Euler ancestral are xbar = x / signal, ours x.
- Its levels are float32, and DPM-Solver++, Euler and Euler ancestral compute in float32. UniPC and
  Heun, which do not, are given float64 levels, and then the images agree to 1e-9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline import CLEAN, Prediction, Rates
from pipeline.plugin.draws import Draws
from pipeline_objectives.denoising import Denoising
from pipeline_samplers.ddim import DDIM
from pipeline_samplers.dpmpp_2m import DPMpp2M
from pipeline_samplers.dpmpp_2m_sde import DPMpp2MSDE
from pipeline_samplers.euler_ancestral import EulerAncestral
from pipeline_samplers.heun import Heun
from pipeline_samplers.unipc import UniPC
from tests.helpers.analytic import MixtureData
from tests.helpers.trained import STEPS, Network, flowers, loss_of, trained

Levels = list[Rates[float]]
Call = Callable[[Tensor, Rates[float]], Prediction]


def network() -> Call:
    return lambda x, rates: Denoising().predict(trained(), x, rates, None)


def mixture() -> Call:
    return MixtureData([0.3, 0.7], [-0.8, 1.0], [0.3, 0.4]).denoise


EVERY_DENOISER = pytest.mark.parametrize("make", [network, mixture], ids=lambda make: make.__name__)
EVERY_COUNT = pytest.mark.parametrize("count", [1, 2, 5, 20])


def levels_of(scheduler: Any, flow: bool = False) -> Levels:
    """What its sigmas mean; VP unless flow."""
    sigmas = scheduler.sigmas.double()
    if not flow:
        return rates_at(sigmas)
    return [Rates(1 - sigma, sigma) for sigma in sigmas.tolist()]


def rates_at(sigmas: Tensor, exploding: bool = False) -> Levels:
    """VP or VE; the last sigma may be 0."""
    signals = torch.ones_like(sigmas) if exploding else (1 + sigmas**2) ** -0.5
    pairs = zip(signals.tolist(), (signals * sigmas).tolist(), strict=True)
    return [Rates(signal, noise) for signal, noise in pairs]


def start(levels: Levels) -> Tensor:
    return Draws(0, "sample", range(2)).normal(torch.empty(2, 3, 16, 16).double()) * levels[0].c


def draws() -> Draws:
    return Draws(1, "sample", range(2))


def theirs(
    scheduler: Any, call: Call, levels: Levels, flow: bool = False, **noise: Draws
) -> Tensor:
    """Its loop: eps (for flow the velocity) of our x at its timesteps."""
    x = start(levels)
    for t, rates in zip(scheduler.timesteps, levels, strict=False):
        seen = call(x.double(), rates)
        out = seen.eps - seen.x0 if flow else seen.eps
        given = {name: source.normal(x.double()) for name, source in noise.items()}
        x = scheduler.step(out, t, x, return_dict=False, **given)[0]
    return x.double()


def close(found: Tensor, expected: Tensor, atol: float = 2e-5) -> None:
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def test_the_network_has_learnt():
    """Flowers that it has not seen; what it is without its layers is the best for white noise."""
    seen, plain = flowers(range(256, 320)).double(), Network().double()
    for part in plain.parameters():
        nn.init.zeros_(part)
    assert loss_of(trained(), seen, STEPS) < 0.5 * loss_of(plain, seen, STEPS)


@EVERY_DENOISER
@EVERY_COUNT
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_is_that_of_diffusers(make, count, eta):
    scheduler = diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(count)
    kept = scheduler.alphas_cumprod.double()[scheduler.timesteps]
    pairs = zip(kept.sqrt().tolist(), (1 - kept).sqrt().tolist(), strict=True)
    levels, call = [*(Rates(a, b) for a, b in pairs), CLEAN], make()
    x, numbers = start(levels), draws()
    for t, rates in zip(scheduler.timesteps, levels, strict=False):
        given = {"variance_noise": numbers.normal(x)} if eta else {}
        x = scheduler.step(call(x, rates).eps, t, x, eta=eta, return_dict=False, **given)[0]
    close(DDIM(eta=eta)(call, start(levels), levels, draws()), x)


@EVERY_DENOISER
@EVERY_COUNT
@pytest.mark.parametrize("end", ["zero", "sigma_min"])
@pytest.mark.parametrize("flow", [False, True], ids=["vp", "flow"])
def test_dpmpp_2m_is_that_of_diffusers(make, count, end, flow):
    scheduler = diffusers.DPMSolverMultistepScheduler(
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        final_sigmas_type=end,
        lower_order_final=end == "zero",
        prediction_type="flow_prediction" if flow else "epsilon",
        use_flow_sigmas=flow,
    )
    scheduler.set_timesteps(count)
    levels, call = levels_of(scheduler, flow), make()
    found = DPMpp2M()(call, start(levels), levels, draws())
    close(found, theirs(scheduler, call, levels, flow))


@EVERY_DENOISER
@EVERY_COUNT
@pytest.mark.parametrize("end", ["zero", "sigma_min"])
def test_dpmpp_2m_sde_is_that_of_diffusers(make, count, end):
    scheduler = diffusers.DPMSolverMultistepScheduler(
        algorithm_type="sde-dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        final_sigmas_type=end,
        lower_order_final=end == "zero",
    )
    scheduler.set_timesteps(count)
    levels, call = levels_of(scheduler), make()
    found = DPMpp2MSDE()(call, start(levels), levels, draws())
    close(found, theirs(scheduler, call, levels, variance_noise=draws()))


@EVERY_DENOISER
@EVERY_COUNT
@pytest.mark.parametrize(
    ("variant", "order", "end"),
    [
        *(("bh2", order, "zero") for order in (1, 2)),
        *((variant, order, "noisy") for variant in ("bh1", "bh2") for order in (1, 2, 3)),
    ],
)
@pytest.mark.parametrize("flow", [False, True], ids=["vp", "flow"])
def test_unipc_is_that_of_diffusers(make, count, variant, order, end, flow):
    scheduler = diffusers.UniPCMultistepScheduler(
        solver_order=order,
        solver_type=variant,
        lower_order_final=end == "zero",
        prediction_type="flow_prediction" if flow else "epsilon",
        use_flow_sigmas=flow,
    )
    # Its own sigmas of flow begin so near 1 that float32 cannot tell 1 - sigma.
    given = np.linspace(0.98, 0.05, count) if flow else None
    scheduler.set_timesteps(count, sigmas=given)
    scheduler.sigmas = scheduler.sigmas.double()
    if end == "noisy":  # for flow its sigma_min would be the last level once more
        scheduler.sigmas[-1] = 0.01
    levels, call = levels_of(scheduler, flow), make()
    found = UniPC(solver_order=order, variant=variant)(call, start(levels), levels, draws())
    close(found, theirs(scheduler, call, levels, flow), atol=1e-9)


@EVERY_DENOISER
@EVERY_COUNT
@pytest.mark.parametrize("exploding", [False, True], ids=["vp", "ve"])
def test_euler_ancestral_is_that_of_diffusers(make, count, exploding, monkeypatch):
    scheduler = diffusers.EulerAncestralDiscreteScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(count)
    numbers, call = draws(), make()
    module = diffusers.schedulers.scheduling_euler_ancestral_discrete
    monkeypatch.setattr(
        module, "randn_tensor", lambda shape, **_: numbers.normal(torch.empty(shape).double())
    )
    levels = rates_at(scheduler.sigmas.double(), exploding)
    x = start(levels) / levels[0].signal
    for t, rates in zip(scheduler.timesteps, levels, strict=False):
        scheduler.scale_model_input(x, t)
        eps = call(rates.signal * x.double(), rates).eps
        x = scheduler.step(eps, t, x, return_dict=False)[0]
    close(EulerAncestral()(call, start(levels), levels, draws()), x.double(), atol=2e-4)


@EVERY_DENOISER
@EVERY_COUNT
@pytest.mark.parametrize("end", ["clean", "noisy"])
@pytest.mark.parametrize("exploding", [False, True], ids=["vp", "ve"])
def test_heun_is_that_of_diffusers(make, count, end, exploding):
    scheduler = diffusers.HeunDiscreteScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(count)
    scheduler.sigmas = scheduler.sigmas.double()
    calls = 2 * count - 1
    if end == "noisy":
        scheduler.sigmas[-1] = 0.01
        scheduler.sigmas, calls = torch.cat([scheduler.sigmas, scheduler.sigmas[-1:]]), calls + 1
    asked, call, times = rates_at(scheduler.sigmas, exploding), make(), scheduler.timesteps
    levels = [asked[0], *asked[1::2]]
    x = start(levels) / levels[0].signal
    for rates, t in zip(asked[:calls], [*times, times[-1]], strict=False):
        scheduler.scale_model_input(x, t)
        x = scheduler.step(call(rates.signal * x, rates).eps, t, x, return_dict=False)[0]
    found = Heun()(call, start(levels), levels, draws())
    close(found / levels[-1].signal, x, atol=1e-9)


@EVERY_DENOISER
@EVERY_COUNT
@pytest.mark.parametrize("exploding", [False, True], ids=["vp", "ve"])
def test_ddim_is_its_euler(make, count, exploding):
    scheduler = diffusers.EulerDiscreteScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(count)
    levels, call = rates_at(scheduler.sigmas.double(), exploding), make()
    x = start(levels) / levels[0].signal
    for t, rates in zip(scheduler.timesteps, levels, strict=False):
        scheduler.scale_model_input(x, t)
        eps = call(rates.signal * x.double(), rates).eps
        x = scheduler.step(eps, t, x, return_dict=False)[0]
    close(DDIM()(call, start(levels), levels, draws()), x.double(), atol=2e-4)


@EVERY_DENOISER
@EVERY_COUNT
def test_ddim_is_its_euler_of_flow(make, count):
    """Straight steps in x are those of xbar in sigma: both keep x0 and eps."""
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=np.linspace(0.98, 0.05, count))
    levels, call = levels_of(scheduler, flow=True), make()
    close(DDIM()(call, start(levels), levels, draws()), theirs(scheduler, call, levels, flow=True))


def test_lowering_the_order_near_a_noisy_end_would_change_the_images():
    """The difference that the head of this file speaks of."""
    made = []
    for lower in (False, True):
        scheduler = diffusers.DPMSolverMultistepScheduler(
            final_sigmas_type="sigma_min", lower_order_final=lower
        )
        scheduler.set_timesteps(5)
        made.append(theirs(scheduler, mixture(), levels_of(scheduler)))
    assert (made[0] - made[1]).abs().max() > 1e-3
