"""The noise levels that a sampler goes through: from t = 1 down, then clean."""

from __future__ import annotations

from ..plugin.contracts import Schedule, Spacing
from ..plugin.values import CLEAN, Rates


def levels(schedule: Schedule, num_steps: int, spacing: Spacing) -> list[Rates[float]]:
    """The rates of ``num_steps`` noisy levels, the first at t = 1, and ``CLEAN`` as the last.

    InputError where the schedule does not suit the spacing.
    """
    rates = schedule(spacing(schedule, num_steps))
    pairs = zip(rates.signal.tolist(), rates.noise.tolist(), strict=True)
    return [*(Rates(signal, noise) for signal, noise in pairs), CLEAN]
