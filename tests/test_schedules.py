"""Schedules against their formulas, and every registered one against the contract."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline import Rates
from pipeline.contracts import MAX_LOG_SNR
from pipeline.registry import Registry
from pipeline_schedules.cosine import Cosine

EXTREMES = [
    {},
    {"min_signal_rate": 5e-5, "max_signal_rate": 1 - 5e-9},
    {"min_signal_rate": 5e-5, "max_signal_rate": 6e-5},
    {"min_signal_rate": 0.999, "max_signal_rate": 1 - 5e-9},
]
SCHEDULES = [entry.name for entry in Registry.load().entries("schedule")]


def grid(dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.linspace(0, 1, 1001, dtype=dtype)


@pytest.mark.parametrize("options", EXTREMES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 5e-7)])
def test_cosine_is_a_quarter_circle(options, dtype, tolerance):
    signal, noise = Cosine(**options)(grid(dtype))
    torch.testing.assert_close(
        signal**2 + noise**2, torch.ones(1001, dtype=dtype), rtol=0, atol=tolerance
    )


def test_cosine_ends_at_its_options_and_runs_linearly_in_the_angle():
    signal, noise = Cosine(min_signal_rate=0.1, max_signal_rate=0.8)(grid())
    assert signal[0].item() == pytest.approx(0.8, abs=1e-15)
    assert signal[-1].item() == pytest.approx(0.1, abs=1e-15)
    assert noise[0].item() == pytest.approx(0.6, abs=1e-15)
    assert noise[-1].item() == pytest.approx(math.sqrt(0.99), abs=1e-15)
    expected = np.interp(grid().numpy(), [0, 1], [math.acos(0.8), math.acos(0.1)])
    np.testing.assert_allclose(torch.atan2(noise, signal).numpy(), expected, rtol=0, atol=1e-14)


def test_the_books_rates_are_the_defaults():
    assert Cosine() == Cosine(min_signal_rate=0.02, max_signal_rate=0.95)


@pytest.mark.parametrize("options", EXTREMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_cosine_log_snr_is_bounded(options, dtype):
    assert Cosine(**options)(grid(dtype)).log_snr.abs().max() <= MAX_LOG_SNR


@pytest.mark.parametrize("options", EXTREMES)
def test_cosine_log_snr_falls(options):
    assert (Cosine(**options)(grid()).log_snr.diff() < 0).all()


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_schedule_keeps_the_contract(name, dtype):
    schedule = Registry.load().build("schedule", name)
    rates = schedule(grid(dtype))
    assert {rate.dtype for rate in rates} == {dtype}
    assert all(rate.shape == (1001,) for rate in rates)
    assert (rates.log_snr.diff() < 0).all()
    assert rates.log_snr.abs().max() <= 20
    square = schedule(grid(dtype)[:6].reshape(2, 3))
    assert all(torch.equal(a, b[:6].reshape(2, 3)) for a, b in zip(square, rates, strict=True))
    assert schedule(torch.tensor(0.5, dtype=dtype)).signal.shape == ()


@pytest.mark.parametrize(
    "options",
    [
        {"min_signal_rate": 0.5, "max_signal_rate": 0.5},
        {"min_signal_rate": 0.0},
        {"max_signal_rate": 1.0},
    ],
)
def test_cosine_refuses_ends_without_signal_or_without_noise(options):
    with pytest.raises(ValidationError, match="signal_rate"):
        Cosine(**options)


def test_rates_know_their_scale_and_their_ratio():
    exact = Rates(3.0, 4.0)
    assert exact.c == 5
    assert exact.scaled == (0.6, 0.8)
    assert exact.sigma == pytest.approx(4 / 3)
    assert exact.log_snr == pytest.approx(2 * math.log(0.75))
    tensors = Rates(torch.tensor([3.0]), torch.tensor([4.0]))
    assert tensors.log_snr.item() == pytest.approx(exact.log_snr)
    x = torch.zeros(2, 3, 4, 5, dtype=torch.float64)
    assert [rate.shape for rate in exact.over(x)] == [(1, 1, 1, 1)] * 2
    assert [rate.shape for rate in Rates(torch.ones(2), torch.ones(2)).over(x)] == [
        (2, 1, 1, 1)
    ] * 2
    assert exact.over(x).signal.dtype == torch.float64
