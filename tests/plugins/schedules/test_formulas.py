"""Schedules against their papers' formulas with 60 digits, and against diffusers' tables.

diffusers has tables of 1000 steps; step i (from 0) is t = (i + 1) / 1000 here. What differs:

- ``squaredcos_cap_v2``: its betas telescope to alpha_bar(t) / alpha_bar(0) exactly, but for the
  last, which is capped at 0.999. Ours is squeezed by 2.1e-9 there, so both keep about that much.
- ``linear``: a product of (1 - beta) where ours integrates beta. The difference is of first order
  in 1 / 1000, which the test measures by taking 2000 and 4000 steps.
- its beta_schedule ``sigmoid`` makes beta, not alpha_bar, a sigmoid (for molecules, Xu et al. 2022)
  and has nothing to do with Jabri's; that one is compared with the paper's formula only.
- ``EDMEulerScheduler``: the same levels, float32.
- ``FlowMatchEulerDiscreteScheduler``: sigma = t, which ours is but for the squeezed ends.
"""

from __future__ import annotations

import math

import diffusers
import mpmath
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from mpmath import mpf
from pydantic import ValidationError

from pipeline.plugin.values import MAX_LOG_SNR
from pipeline_schedules.cosine_nichol import CosineNichol
from pipeline_schedules.flow import Flow
from pipeline_schedules.karras import Karras
from pipeline_schedules.linear import Linear
from pipeline_schedules.sigmoid import Sigmoid

mpmath.mp.dps = 60
EDGE = mpf("4.6e-5")
TIMES = [0.0, 1e-12, 1e-6, 1e-3, 0.1, 0.3, 0.5, 0.77, 0.999, 1 - 1e-6, 1 - 1e-12, 1.0]
STEPS = torch.arange(1, 1001, dtype=torch.float64) / 1000


def cosine_nichol(t, offset=0.008):
    def f(t):
        return mpmath.cos((t + mpf(offset)) / (1 + mpf(offset)) * mpmath.pi / 2) ** 2

    return f(t) / f(mpf(0))


def linear(t, beta_min=0.1, beta_max=20.0):
    beta = [mpf(beta_min), mpf(beta_max)]
    return mpmath.exp(-mpmath.quad(lambda s: beta[0] + s * (beta[1] - beta[0]), [0, t]))


def sigmoid(t, start=-3.0, end=3.0, tau=1.0):
    """Chen 2023, algorithm 1."""

    def f(z):
        return 1 / (1 + mpmath.exp(-z / mpf(tau)))

    first, last = f(mpf(start)), f(mpf(end))
    return (last - f(t * (mpf(end) - mpf(start)) + mpf(start))) / (last - first)


FORMS = [
    (CosineNichol, cosine_nichol, {}),
    *((CosineNichol, cosine_nichol, options) for options in CosineNichol.examples),
    (Linear, linear, {}),
    *((Linear, linear, options) for options in Linear.examples),
    (Sigmoid, sigmoid, {}),
    *((Sigmoid, sigmoid, options) for options in Sigmoid.examples),
]


@pytest.mark.parametrize(
    ("cls", "form", "options"), FORMS, ids=lambda v: getattr(v, "__name__", str(v))
)
def test_alpha_bar_is_the_papers_squeezed_by_the_square_of_the_edge(cls, form, options):
    """Both rates to 13 digits, also where they are small; alpha_bar itself within 2.2e-9."""
    rates = cls(**options)(torch.tensor(TIMES, dtype=torch.float64))
    for t, signal, noise in zip(TIMES, *(rate.tolist() for rate in rates), strict=True):
        alpha_bar = form(mpf(t), **options)
        squeezed = EDGE**2 + (1 - 2 * EDGE**2) * alpha_bar
        assert abs(mpf(signal) / mpmath.sqrt(squeezed) - 1) < 1e-13
        assert abs(mpf(noise) / mpmath.sqrt(1 - squeezed) - 1) < 1e-13
        assert abs(signal**2 - alpha_bar) < 2.2e-9
        assert abs(signal**2 + noise**2 - 1) < 1e-15


@pytest.mark.parametrize("cls", [CosineNichol, Sigmoid, Flow])
def test_ends_that_the_papers_have_at_0_are_as_near_as_the_bound_allows(cls):
    ends = cls()(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert ends.log_snr.tolist() == pytest.approx([19.9737, -19.9737], abs=2e-4)
    np.testing.assert_allclose(ends.noise, [4.6e-5, 1], rtol=5e-5)


def test_ddpms_linear_betas_leave_as_much_signal_as_they_do():
    ends = Linear()(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert ends.signal[1].item() ** 2 == pytest.approx(math.exp(-10.05), rel=1e-4)
    assert ends.noise[0].item() == pytest.approx(4.6e-5)


@pytest.mark.parametrize("options", [{}, *Karras.examples])
def test_karras_is_equation_5_from_sigma_min_to_sigma_max(options):
    made = Karras(**options)
    signal, noise = made(torch.tensor(TIMES, dtype=torch.float64))
    assert (signal == 1).all()
    for t, sigma in zip(TIMES, noise.tolist(), strict=True):
        inverse = 1 / mpf(made.rho)
        first, last = mpf(made.sigma_max) ** inverse, mpf(made.sigma_min) ** inverse
        expected = (first + (1 - mpf(t)) * (last - first)) ** mpf(made.rho)
        assert abs(sigma / expected - 1) < 2e-14
    assert noise[0].item() == pytest.approx(made.sigma_min, rel=1e-14)
    assert noise[-1].item() == pytest.approx(made.sigma_max, rel=1e-14)
    single = made(torch.tensor([0.0, 1.0])).noise
    np.testing.assert_allclose(single, [made.sigma_min, made.sigma_max], rtol=3e-6)


def test_flow_is_a_straight_line_from_edge_to_edge():
    t = torch.tensor(TIMES, dtype=torch.float64)
    signal, noise = Flow()(t)
    torch.testing.assert_close(signal + noise, torch.ones_like(t), rtol=0, atol=3e-16)
    torch.testing.assert_close(noise, t, rtol=0, atol=4.7e-5)
    torch.testing.assert_close(noise.diff(), t.diff() * (1 - 9.2e-5), rtol=0, atol=3e-16)


def test_cosine_is_diffusers_table_up_to_its_capped_last_beta():
    table = diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod.double()
    alpha_bar = CosineNichol()(STEPS).signal ** 2
    torch.testing.assert_close(alpha_bar[:-1], table[:-1], rtol=1e-4, atol=2.2e-9)
    assert table[-1].item() == pytest.approx(0.001 * table[-2].item(), rel=1e-2)  # the cap
    assert alpha_bar[-1].item() == pytest.approx(4.6e-5**2, rel=1e-6)
    assert table[-1] < 3e-9


def test_linear_is_the_limit_of_diffusers_tables():
    errors = []
    for count in (1000, 2000, 4000):
        table = diffusers.DDPMScheduler(
            num_train_timesteps=count, beta_start=0.1 / count, beta_end=20 / count
        ).alphas_cumprod.double()
        t = torch.arange(1, count + 1, dtype=torch.float64) / count
        errors.append((Linear()(t).signal ** 2 - table).abs().max().item())
    assert errors[0] < 2e-3
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.05)
    assert errors[1] / errors[2] == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("options", [{}, {"sigma_min": 0.02, "sigma_max": 14.6, "rho": 5.0}])
def test_karras_is_diffusers_edm_levels(options):
    scheduler = diffusers.EDMEulerScheduler(sigma_data=1.0, **options)
    scheduler.set_timesteps(1000)
    table = scheduler.sigmas[:-1].double()
    assert scheduler.sigmas[-1] == 0
    found = Karras(**options)(torch.linspace(1, 0, 1000, dtype=torch.float64)).noise
    torch.testing.assert_close(found, table, rtol=3e-6, atol=0)


def test_flow_is_diffusers_levels_but_for_its_ends():
    table = diffusers.FlowMatchEulerDiscreteScheduler().sigmas[:1000].double().flip(0)
    torch.testing.assert_close(Flow()(STEPS).noise, table, rtol=0, atol=4.7e-5)


def test_logit_normal_times_bring_karras_near_edms_training():
    """ln sigma ~ N(-1.2, 1.2²), Karras et al. 2022, table 1: what the docstring says."""
    z = torch.special.ndtri((torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000)
    log_sigma = Karras()((-0.87 + 0.48 * z).sigmoid()).noise.log()
    assert log_sigma.mean().item() == pytest.approx(-1.2, abs=0.05)
    assert log_sigma.std().item() == pytest.approx(1.2, abs=0.05)
    assert Karras()(torch.tensor(0.5)).noise.item() == pytest.approx(2.5, abs=0.05)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


@st.composite
def any_schedule(draw):
    """One of all that the options allow."""
    cls = draw(st.sampled_from([CosineNichol, Linear, Sigmoid, Karras]))
    options = {
        CosineNichol: {"offset": numbers(0, 1)},
        Linear: {"beta_min": numbers(0, 20), "beta_max": numbers(1, 40)},
        Sigmoid: {"start": numbers(-20, 20), "end": numbers(-20, 20), "tau": numbers(0.01, 100)},
        Karras: {
            "sigma_min": numbers(5e-5, 1e4),
            "sigma_max": numbers(1e-4, 2e4),
            "rho": numbers(1, 20),
        },
    }[cls]
    try:
        return cls(**{name: draw(values) for name, values in options.items()})
    except ValidationError:
        assume(False)


@pytest.mark.parametrize("cls", [CosineNichol, Linear, Sigmoid, Karras, Flow])
def test_float32_is_as_good_where_rates_are_small(cls):
    t = torch.linspace(0, 1, 10_001)
    for single, exact in zip(cls()(t), cls()(t.double()), strict=True):
        torch.testing.assert_close(single.double(), exact, rtol=1.5e-6, atol=0)


@settings(max_examples=200, deadline=None)
@given(any_schedule())
def test_whatever_the_options_allow_is_bounded_and_falls(schedule):
    for dtype in (torch.float32, torch.float64):
        log_snr = schedule(torch.linspace(0, 1, 4097, dtype=dtype)).log_snr
        assert log_snr.abs().max() <= MAX_LOG_SNR
        assert (log_snr.diff() < 0).all()


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (CosineNichol, {"offset": -0.1}, "offset"),
        (CosineNichol, {"offset": 1.5}, "offset"),
        (Linear, {"beta_min": -1.0}, "beta_min"),
        (Linear, {"beta_min": 5.0, "beta_max": 5.0}, "beta_min should be smaller than beta_max"),
        (Linear, {"beta_min": 1.0, "beta_max": 39.1}, "beta_max should be at most 40"),
        (Linear, {"beta_min": 0.1, "beta_max": 0.9}, "beta_max"),
        (Sigmoid, {"start": 3.0, "end": -3.0}, "end should be above start"),
        (Sigmoid, {"start": 0.0, "end": 0.009}, "end should be above start"),
        (Sigmoid, {"tau": 0.1}, "between -20 tau and 20 tau"),
        (Sigmoid, {"tau": 0.0}, "tau"),
        (Sigmoid, {"end": math.inf}, "end"),
        (Karras, {"sigma_min": 0.0}, "sigma_min"),
        (Karras, {"sigma_max": 3e4}, "sigma_max"),
        (Karras, {"sigma_min": 1.0, "sigma_max": 1.9}, "sigma_max should be at least twice"),
        (Karras, {"rho": 0.5}, "rho"),
        (Flow, {"shift": 3.0}, "shift"),
    ],
)
def test_options_that_would_break_the_bound_are_refused(cls, options, message):
    with pytest.raises(ValidationError, match=message):
        cls(**options)
