"""The times of noise levels against closed forms, on schedules whose inverse is known."""

from __future__ import annotations

import diffusers
import numpy as np
import pytest
import torch

import pipeline_schedules.karras
from pipeline import InputError, Rates, time_of
from pipeline_schedules.cosine import Cosine
from pipeline_schedules.flow import Flow
from pipeline_schedules.linear import Linear
from pipeline_schedules.sigmoid import Sigmoid
from pipeline_spacings.karras import Karras
from pipeline_spacings.log_snr import LogSNR
from pipeline_spacings.uniform import Uniform
from tests.helpers import analytic

EXPLODING = pipeline_schedules.karras.Karras()
SCHEDULES = {
    "cosine": Cosine(),
    "widest": Cosine(min_signal_rate=5e-5, max_signal_rate=1 - 5e-9),
    "linear": Linear(),
    "sigmoid": Sigmoid(),
    "flow": Flow(),
    "karras": EXPLODING,
    "exploding": analytic.exploding,
    "straight": analytic.flow,
    "edm": analytic.karras,
    "extreme": analytic.widest,
}
EVERY_SCHEDULE = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
SPACINGS = [Uniform(), LogSNR(), Karras(), Karras(rho=0.1), Karras(rho=100)]


def at(schedule, *t: float) -> Rates[torch.Tensor]:
    return schedule(torch.tensor(t, dtype=torch.float64))


@EVERY_SCHEDULE
@pytest.mark.parametrize("spacing", SPACINGS, ids=repr)
@pytest.mark.parametrize("count", [1, 2, 3, 20, 1000])
def test_times_fall_from_1_in_float64(schedule, spacing, count):
    t = spacing(schedule, count)
    assert (t.dtype, t.shape) == (torch.float64, (count,))
    assert t[0] == 1
    assert (t.diff() < 0).all()
    assert (t >= 0).all()


@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_uniform_is_1_minus_k_over_n_to_the_last_bit(count):
    assert Uniform()(Cosine(), count).tolist() == [1 - k / count for k in range(count)]


@EVERY_SCHEDULE
@pytest.mark.parametrize("spacing", SPACINGS[1:], ids=repr)
def test_the_others_end_at_0(schedule, spacing):
    assert spacing(schedule, 9)[-1] == 0


@EVERY_SCHEDULE
def test_log_snr_is_even_in_log_snr(schedule):
    log_snr = schedule(LogSNR()(schedule, 9)).log_snr
    even = torch.linspace(log_snr[0], log_snr[-1], 9, dtype=torch.float64)
    torch.testing.assert_close(log_snr, even, rtol=0, atol=1e-9)


@EVERY_SCHEDULE
@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0])
def test_karras_is_equation_5(schedule, rho):
    sigma = schedule(Karras(rho=rho)(schedule, 9)).sigma
    largest, smallest = at(schedule, 1.0, 0.0).sigma.tolist()
    expected = [
        (largest ** (1 / rho) + i / 8 * (smallest ** (1 / rho) - largest ** (1 / rho))) ** rho
        for i in range(9)
    ]
    tolerance = 1e-9 if rho == 7 else 1e-7  # the smaller rho, the steeper log-SNR at its end
    torch.testing.assert_close(sigma.tolist(), expected, rtol=tolerance, atol=0)


@EVERY_SCHEDULE
@pytest.mark.parametrize("count", [2, 10, 50])
def test_log_snr_and_karras_are_those_of_diffusers(schedule, count):
    theirs = diffusers.DPMSolverMultistepScheduler()
    tolerance = 1e-8 if isinstance(schedule, Sigmoid) else 1e-9  # steep where t is near 1
    ends = at(schedule, 1.0, 0.0).sigma
    sigma = schedule(Karras()(schedule, count)).sigma
    np.testing.assert_allclose(sigma, theirs._convert_to_karras(ends, count), rtol=tolerance)
    logs = schedule(LogSNR()(schedule, count)).sigma.log()
    expected = theirs._convert_to_lu(ends.log().numpy(), count)
    np.testing.assert_allclose(logs, expected, rtol=0, atol=tolerance)


def test_on_the_karras_schedule_the_karras_spacing_is_even_in_t():
    times = Karras(rho=EXPLODING.rho)(EXPLODING, 9)
    even = torch.linspace(1, 0, 9, dtype=torch.float64)
    torch.testing.assert_close(times, even, rtol=0, atol=1e-9)


@EVERY_SCHEDULE
def test_time_of_is_the_inverse_of_log_snr(schedule):
    t = torch.linspace(0, 1, 101, dtype=torch.float64).reshape(1, 101)
    torch.testing.assert_close(time_of(schedule, schedule(t).log_snr), t, rtol=0, atol=1e-9)
    beyond = time_of(schedule, torch.tensor([30.0, -30.0], dtype=torch.float64))
    torch.testing.assert_close(beyond, torch.tensor([0.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("spacing", [LogSNR(), Karras()], ids=["log_snr", "karras"])
@pytest.mark.parametrize(
    "schedule",
    [
        lambda t: Rates(1 - t, t),  # infinite at both ends
        lambda t: Rates(t.clamp(min=0.1), 1.1 - t),  # the wrong way around
        lambda t: Rates(torch.ones_like(t), torch.ones_like(t)),
        lambda t: Rates(t * torch.nan, t),
    ],
)
def test_a_schedule_without_falling_log_snr_is_told(schedule, spacing):
    name = "karras" if isinstance(spacing, Karras) else "log_snr"
    with pytest.raises(InputError, match=f"spacing {name}: the schedule's log-SNR should fall"):
        spacing(schedule, 5)
