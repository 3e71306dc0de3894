"""Samplers as solvers: orders of convergence to the exact solution, and which are the same."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from scipy.integrate import quad

from pipeline import CLEAN
from pipeline.plugin.draws import Draws
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline_samplers.ddim import DDIM
from pipeline_samplers.ddpm import DDPM
from pipeline_samplers.dpmpp_2m import DPMpp2M
from pipeline_samplers.dpmpp_2m_sde import DPMpp2MSDE
from pipeline_samplers.euler_ancestral import EulerAncestral
from pipeline_samplers.heun import Heun
from pipeline_samplers.unipc import UniPC, _moments
from pipeline_schedules.cosine import Cosine
from tests.helpers.analytic import (
    GaussianData,
    MixtureData,
    NoDraws,
    exploding,
    flow,
    karras,
    noisy_levels,
    order_of,
    registered_schedules,
    spaced_levels,
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
OPTIONS = [
    EulerAncestral(eta=0.0),
    DPMpp2MSDE(eta=0.0),
    *(UniPC(solver_order=p, variant=v) for p in (1, 2, 3) for v in ("bh1", "bh2")),
]
DETERMINISTIC = [s for s in (*DEFAULTS, *OPTIONS) if s.order is not None]
WAYS = [
    *(
        (s, name, partial(noisy_levels, at))
        for s in DETERMINISTIC
        for name, at in SCHEDULES.items()
    ),
    *(
        (s, f"{name}_by_sigma", partial(spaced_levels, at))
        for s in DEFAULTS
        if s.order is not None
        for name, at in WIDE.items()
    ),
]
"""Samplers and families of levels: stand-ins in t, every registered schedule by sigma."""


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def channels(data) -> int:
    return 2 if isinstance(data, GaussianData) else 1


@EVERY_DATA
@EVERY_SCHEDULE
def test_the_exact_solution_solves_the_ode(data, schedule):
    """d xbar / d sigma = eps (Karras et al. 2022, eq. 1), by differences of sigma."""
    z = noise(4, channels(data), 3, 3)
    for now in noisy_levels(schedule, 4):
        nearby = [now._replace(noise=now.noise * factor) for factor in (1 - 1e-4, 1 + 1e-4)]
        before, after = (data.draw(z, rates) / now.signal for rates in nearby)
        slope = (after - before) / (nearby[1].sigma - nearby[0].sigma)
        eps = data.denoise(data.draw(z, now), now).eps
        torch.testing.assert_close(slope, eps, rtol=0, atol=1e-6)


def test_some_samplers_are_deterministic_and_some_are_not():
    assert {type(s) for s in DEFAULTS if s.order} >= {DDIM, DPMpp2M, Heun, UniPC}
    assert {type(s) for s in DEFAULTS if not s.order} >= {DDPM, EulerAncestral, DPMpp2MSDE}


@EVERY_DATA
@pytest.mark.parametrize(
    ("sampler", "family"), [(s, f) for s, _, f in WAYS], ids=[f"{s}-{name}" for s, name, _ in WAYS]
)
def test_deterministic_samplers_have_their_declared_order_and_cost(sampler, family, data):
    """From the exact q(x_1) to t = 0; a step from there to clean would cost one evaluation more."""
    steps, errors = [96, 192], []
    z = noise(4, channels(data), 4, 4)
    for count in steps:
        levels, data.calls = family(count), 0
        end = sampler(data.denoise, data.draw(z, levels[0]), levels, NoDraws())
        assert data.calls == sampler.nfe(count + 1) - 1
        errors.append(float((end - data.draw(z, levels[-1])).square().mean().sqrt()))
    assert errors[-1] < 0.05
    assert order_of(errors, steps) >= sampler.order - 0.2


@EVERY_DATA
@EVERY_WIDE
@pytest.mark.parametrize("clean", [True, False])
def test_ddim_is_eulers_method_in_sigma(data, schedule, clean):
    """xbar' = xbar + (sigma' - sigma) * (xbar - x0) / sigma (Karras et al. 2022, algorithm 1)."""
    levels = [*spaced_levels(schedule, 30), *([CLEAN] if clean else [])]
    x = start = data.draw(noise(4, channels(data), 3, 3), levels[0])
    for now, then in pairwise(levels):
        xbar = x / now.signal
        slope = (xbar - data.denoise(x, now).x0) / now.sigma
        x = then.signal * (xbar + (then.sigma - now.sigma) * slope)
    found = DDIM()(data.denoise, start, levels, NoDraws())
    # Its numbers are as large as the first sigma, up to 22,026.
    torch.testing.assert_close(found, x, rtol=0, atol=1e-9)


def ends(schedule, *samplers, clean: bool) -> list[torch.Tensor]:
    """Where samplers get from the same start with the same draws."""
    data, levels = DATA["gaussian"](), noisy_levels(schedule, 12)
    levels = [*levels, CLEAN] if clean else levels
    start = data.draw(noise(4, 2, 3, 3), levels[0])
    return [s(data.denoise, start, levels, Draws(0, "sample", range(4))) for s in samplers]


@EVERY_SCHEDULE
@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_euler_ancestral_is_ddim_up_to_eta_1(schedule, clean, eta):
    euler, ddim = ends(schedule, EulerAncestral(eta=eta), DDIM(eta=eta), clean=clean)
    torch.testing.assert_close(euler, ddim, rtol=0, atol=1e-12)
    more, one = ends(schedule, EulerAncestral(eta=1.5), EulerAncestral(), clean=clean)
    assert (more - one).abs().max() > 1e-2


@EVERY_SCHEDULE
def test_euler_ancestral_with_eta_1_is_ddpm(schedule):
    euler, ddpm = ends(schedule, EulerAncestral(), DDPM(), clean=False)
    torch.testing.assert_close(euler, ddpm, rtol=0, atol=1e-10)


@EVERY_SCHEDULE
def test_euler_ancestral_never_adds_more_noise_than_the_level_has(schedule):
    """With eta beyond all bounds x is x0 with the level's noise anew."""
    data, (now, then) = DATA["gaussian"](), noisy_levels(schedule, 2)[:2]
    start = data.draw(noise(4, 2, 3, 3), now)
    found = EulerAncestral(eta=1e6)(data.denoise, start, [now, then], Draws(0, "sample", range(4)))
    z = Draws(0, "sample", range(4)).normal(start)
    expected = then.signal * data.denoise(start, now).x0 + then.noise * z
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@EVERY_SCHEDULE
@pytest.mark.parametrize("clean", [True, False])
def test_dpmpp_2m_sde_without_noise_is_dpmpp_2m(schedule, clean):
    without, plain = ends(schedule, DPMpp2MSDE(eta=0.0), DPMpp2M(), clean=clean)
    torch.testing.assert_close(without, plain, rtol=0, atol=1e-14)
    some, more = ends(schedule, DPMpp2MSDE(eta=0.5), DPMpp2MSDE(), clean=clean)
    assert (some - plain).abs().max() > 1e-3
    assert (more - some).abs().max() > 1e-3


def test_options_of_unipc_make_a_difference():
    samplers = [UniPC(solver_order=p, variant=v) for p in (1, 2, 3) for v in ("bh1", "bh2")]
    found = ends(Cosine(), *samplers, clean=True)
    for i, one in enumerate(found):
        assert all((one - other).abs().max() > 1e-6 for other in found[:i])


@pytest.mark.parametrize("step", [1e-9, 1e-4, 0.1, 0.999, 1.0, 3.0, 20.0])
def test_unipc_integrates_powers_exactly_for_steps_of_any_size(step):
    for k, found in enumerate(_moments(step, 3), start=1):
        exact, _ = quad(
            lambda s, k=k: s**k * math.exp(step * (s - 1)), 0, 1, epsabs=0, epsrel=1e-13
        )
        assert found == pytest.approx(exact, rel=1e-12)
