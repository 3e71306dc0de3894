"""Schedules against their formulas, and every registered one against the contract."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipeline import Rates
from pipeline.plugin.registry import Registry
from pipeline.plugin.values import MAX_LOG_SNR
from pipeline.recipe.build import build_stage
from pipeline_schedules.cosine import Cosine

EXTREMES = [
    {},
    {"min_signal_rate": 5e-5, "max_signal_rate": 1 - 5e-9},
    {"min_signal_rate": 5e-5, "max_signal_rate": 6e-5},
    {"min_signal_rate": 0.999, "max_signal_rate": 1 - 5e-9},
]
REGISTRY = Registry.load()
CASES = [
    pytest.param(entry.name, options, id=f"{entry.name}-{options}")
    for entry in REGISTRY.entries("schedule")
    for options in ({}, *getattr(entry.load(), "examples", ()))
]


def grid(dtype: torch.dtype = torch.float64, count: int = 1001) -> torch.Tensor:
    return torch.linspace(0, 1, count, dtype=dtype)


def test_every_schedule_is_there_by_name():
    names = {entry.name for entry in REGISTRY.entries("schedule")}
    assert names >= {"cosine", "cosine_nichol", "linear", "sigmoid", "karras", "flow"}


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


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_schedule_keeps_the_contract(name, options, dtype):
    schedule = build_stage(REGISTRY, "schedule", {"name": name, **options})
    t = grid(dtype, 10_001)
    rates = schedule(t)
    assert torch.equal(t, grid(dtype, 10_001))
    assert {rate.dtype for rate in rates} == {dtype}
    assert all(rate.shape == t.shape for rate in rates)
    assert all((rate > 0).all() for rate in rates)
    assert (rates.log_snr.diff() < 0).all()
    assert rates.log_snr.abs().max() <= MAX_LOG_SNR


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_rates_depend_on_t_alone_bit_for_bit_whatever_its_shape(name, options, dtype):
    schedule = build_stage(REGISTRY, "schedule", {"name": name, **options})
    rates, square = schedule(grid(dtype)), schedule(grid(dtype)[:1000].reshape(2, 5, 100))
    assert all(torch.equal(a.flatten(), b[:1000]) for a, b in zip(square, rates, strict=True))
    for i in (0, 1, 500, 999, 1000):
        alone = schedule(grid(dtype)[i])
        assert all(torch.equal(a, b[i]) for a, b in zip(alone, rates, strict=True))
    assert all(rate.shape == (0,) for rate in schedule(grid(dtype)[:0]))
    meta = schedule(torch.empty(3, device="meta", dtype=dtype))
    assert all(rate.is_meta and rate.shape == (3,) for rate in meta)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_float32_is_float64_but_for_rounding(name, options):
    schedule = build_stage(REGISTRY, "schedule", {"name": name, **options})
    t = grid(torch.float32, 10_001)
    for single, exact in zip(schedule(t), schedule(t.double()), strict=True):
        torch.testing.assert_close(single.double(), exact, rtol=3e-6, atol=3e-7)


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
