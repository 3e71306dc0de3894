"""The noise levels that a sampler goes through: from t = 1 down, then clean."""

from __future__ import annotations

from ..errors import InputError
from ..plugin.contracts import Schedule, Spacing
from ..plugin.values import CLEAN, Rates

MOST = 100_000
"""Noisy levels; models are trained with a thousand."""


def levels(schedule: Schedule, num_steps: int, spacing: Spacing) -> list[Rates[float]]:
    """The rates of ``num_steps`` noisy levels, the first at t = 1, and ``CLEAN`` as the last.

    InputError for more than ``MOST``, and where the schedule does not suit the spacing.
    """
    if num_steps > MOST:
        raise InputError(f"{num_steps:,} steps are beyond any use: {MOST:,} at most")
    rates = schedule(spacing(schedule, num_steps))
    pairs = zip(rates.signal.tolist(), rates.noise.tolist(), strict=True)
    return [*(Rates(signal, noise) for signal, noise in pairs), CLEAN]
