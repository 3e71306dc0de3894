"""The noise levels that a sampler goes through: from t = 1 down, then clean."""

from __future__ import annotations

import torch

from ..errors import InputError
from ..plugin.contracts import Schedule, Spacing
from ..plugin.values import CLEAN, Rates

MOST = 100_000
"""Noisy levels; models are trained with a thousand."""

SAME = 1e-6
"""Times that are nearer than this are one."""


def levels(
    schedule: Schedule, num_steps: int, spacing: Spacing, strength: float = 1.0
) -> list[Rates[float]]:
    """The rates of ``num_steps`` noisy levels, the first at t = 1, and ``CLEAN`` as the last.

    With a ``strength`` below 1 the first is at t = ``strength`` instead, and only those of the
    levels that lie below follow. InputError for more than ``MOST``, and where the schedule does not
    suit the spacing.
    """
    if num_steps > MOST:
        raise InputError(f"{num_steps:,} steps are beyond any use: {MOST:,} at most")
    times = spacing(schedule, num_steps)
    if strength < 1:
        # What is hardly below is the same level: a step of next to nothing would only round.
        times = torch.cat([times.new_tensor([strength]), times[times < strength - SAME]])
    rates = schedule(times)
    pairs = zip(rates.signal.tolist(), rates.noise.tolist(), strict=True)
    return [*(Rates(signal, noise) for signal, noise in pairs), CLEAN]
