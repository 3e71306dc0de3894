"""Checks of schedules: log-SNR falls within its bounds, in t's shape, dtype and device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...plugin.contracts import Schedule
from ...plugin.values import MAX_LOG_SNR, Rates
from ..context import Check, Context, Wrong, require
from ..problems.other_device import on_another_device
from ..problems.turns import in_turn
from ..same import same, untouched

DTYPES = (torch.float64, torch.float32)
CLOSE = 1e-9
"""Between two times that float32 takes for one."""
LONG = 5000
"""How often six times are repeated, for a long t."""
DIGITS = 0.01
"""How far a rate in float32 may be from that in float64, of itself: 0.02 of log-SNR."""


def behaviour(schedule: Schedule) -> list[tuple[Tensor, ...]]:
    """The rates at 33 times, and at as many others."""
    t = torch.linspace(0, 1, 33, dtype=torch.float64)
    return in_turn(lambda times: tuple(schedule(times)), [t, t**2])


def log_snr_falls(schedule: Schedule, _: Context) -> str:
    """It falls strictly from t = 0 to t = 1."""
    t = _grid(torch.float64)
    log_snr = _rates(schedule, t).log_snr
    steps = log_snr.diff()
    at = int(steps.argmax())
    require(
        bool((steps < 0).all()),
        f"log_snr is {log_snr[at]:.4g} at t = {t[at]:.3f} and {log_snr[at + 1]:.4g} at t = "
        f"{t[at + 1]:.3f}; it should fall, from images at t = 0 to noise at t = 1",
    )
    return f"from {log_snr[0]:.2f} to {log_snr[-1]:.2f}"


def rates_are_within_bounds(schedule: Schedule, _: Context) -> str:
    """The rates are positive and finite, |log_snr| is at most 20, in single precision too."""
    largest = 0.0
    for dtype in DTYPES:
        rates = _rates(schedule, _grid(dtype))
        for name, rate in zip(("signal", "noise"), rates, strict=True):
            low = float(rate.min())
            require(bool(rate.isfinite().all()), f"{name} is not finite everywhere ({dtype})")
            require(low > 0, f"{name} falls to {low:g}; it should stay above 0 ({dtype})")
        largest = max(largest, float(rates.log_snr.abs().max()))
    require(
        largest <= MAX_LOG_SNR,
        f"|log_snr| reaches {largest:.2f}, beyond {MAX_LOG_SNR:g}: keep off rates of 0",
    )
    return f"|log_snr| up to {largest:.2f}"


def keeps_shape_and_dtype(schedule: Schedule, _: Context) -> str:
    """The rates have t's shape and dtype, and those of one time do not depend on the others."""
    for dtype in DTYPES:
        t = _grid(dtype)[1:7]
        whole = _rates(schedule, t)
        long = _rates(schedule, t.repeat(LONG))
        strided = _rates(schedule, t.repeat_interleave(2)[::2])
        for name, rate, many, apart in zip(("signal", "noise"), whole, long, strided, strict=True):
            require(
                same(many, rate.repeat(LONG), rounding=8) and same(apart, rate, rounding=8),
                f"{name} of {6 * LONG:,} times, or of every second one of a tensor, differs from "
                "that of the same times in a row",
            )
        for shape in [(), (1,), (2, 3), (6, 1, 1)]:
            part = t[: torch.Size(shape).numel()].reshape(shape)
            rates = _rates(schedule, part)
            for name, rate, expected in zip(("signal", "noise"), rates, whole, strict=True):
                require(
                    same(rate, expected[: part.numel()].reshape(shape), rounding=8),
                    f"{name} of t {shape} differs from the same times in a row",
                )
    return "float64, float32; 0 to 3 dimensions"


def precisions_agree(schedule: Schedule, _: Context) -> str:
    """What float32 gives is what float64 gives, rounded."""
    _computes_in_float64(schedule)
    t = _grid(torch.float32)
    exact, single = _rates(schedule, t.double()), _rates(schedule, t)
    away = max(
        float(((a.double() - b) / exact.c).abs().max()) for a, b in zip(single, exact, strict=True)
    )
    require(away < 1e-5, f"in float32 the rates are {away:.1e} of c away from those in float64")
    digits = max(
        float((a.double() / b - 1).abs().max()) for a, b in zip(single, exact, strict=True)
    )
    require(
        digits < DIGITS,
        f"in float32 a rate is {digits:.1%} away from that in float64: is it a small difference of "
        "large numbers, such as 1 - signal²?",
    )
    return f"within {away:.0e} of c, and each to {digits:.0e}"


def leaves_t_as_it_is(schedule: Schedule, _: Context) -> str:
    """The t that was given is not changed in place."""
    t = _grid(torch.float64)
    with untouched(t=t):
        schedule(t)
    return "not changed"


def keeps_the_device(schedule: Schedule, _: Context) -> str:
    """The rates are where t is."""
    return on_another_device(lambda device: tuple(schedule(torch.linspace(0, 1, 3, device=device))))


CHECKS: Sequence[Check] = (
    log_snr_falls,
    rates_are_within_bounds,
    keeps_shape_and_dtype,
    precisions_agree,
    leaves_t_as_it_is,
    keeps_the_device,
)


def _computes_in_float64(schedule: Schedule) -> None:
    """Raise Wrong where times that only float64 tells apart have the same rates."""
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    before, after = _rates(schedule, t).log_snr, _rates(schedule, t + CLOSE).log_snr
    require(
        bool((after < before).all()),
        f"in float64 log_snr is the same {CLOSE:g} later: it is computed in less precision",
    )


def _grid(dtype: torch.dtype) -> Tensor:
    """Times from 0 to 1, ever closer towards both ends, where rates change by orders."""
    ends = torch.logspace(-6, -3, 61, dtype=torch.float64)[:-1]
    even = torch.linspace(0, 1, 1001, dtype=torch.float64)
    times = torch.cat([even[:1], ends, even[1:-1], 1 - ends.flip(0), even[-1:]])
    rounded = times.to(dtype)
    return rounded[torch.cat([rounded.diff() > 0, torch.tensor([True])])]  # fewer near 1


def _rates(schedule: Schedule, t: Tensor) -> Rates[Tensor]:
    """Its answer. Raises Wrong unless it is rates of t's shape and dtype."""
    rates: object = schedule(t)
    if not isinstance(rates, Rates):
        raise Wrong(f"it returned {type(rates).__name__}, not Rates")
    for name, rate in zip(("signal", "noise"), rates, strict=True):
        if not isinstance(rate, Tensor):
            raise Wrong(f"{name} is a {type(rate).__name__}, not a tensor")
        require(rate.dtype == t.dtype, f"{name} of {t.dtype} t is {rate.dtype}; keep t's dtype")
        wanted, got = tuple(t.shape), tuple(rate.shape)
        require(got == wanted, f"{name} of t {wanted} has the shape {got}")
    return rates
