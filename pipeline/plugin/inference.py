"""Student's t: intervals, p-values, power; and what many comparisons at once do to p-values.

With infinite degrees of freedom, t is the normal distribution.
"""

from __future__ import annotations

from collections.abc import Sequence

import scipy  # which imports scipy.special when it is first asked for

LEVEL = 0.05
"""The share of false claims, on both sides together, where nothing differs."""
POWER = 0.8
"""How often a test claims a difference that is as large as ``smallest_seen``."""


def interval(
    value: float, standard_error: float, freedom: float, level: float = 1 - LEVEL
) -> tuple[float, float]:
    """The t interval that covers the true value in a share ``level`` of cases."""
    reach = float(scipy.special.stdtrit(freedom, (1 + level) / 2)) * standard_error
    return value - reach, value + reach


def p_value(value: float, standard_error: float, freedom: float) -> float:
    """The two-sided p-value: how often chance alone gives as much or more; 1 for a value of 0."""
    if value == 0:
        return 1.0
    if not standard_error:
        return 0.0
    return 2 * float(scipy.special.stdtr(freedom, -abs(value) / standard_error))


def smallest_seen(standard_error: float, freedom: float) -> float:
    """The smallest true difference that the two-sided test finds with 80 % power.

    It is computed with the noncentral t, as if the standard error's estimate were the truth.
    """
    critical = scipy.special.stdtrit(freedom, 1 - LEVEL / 2)
    return float(scipy.special.nctdtrinc(freedom, 1 - POWER, critical)) * standard_error


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, corrected for their number: Holm 1979, Scand. J. Statist. 6, 65.

    A claim at corrected p <= 0.05 bounds the chance of one false claim or more among all of them,
    whatever their dependence. The smallest is multiplied by their number, the next by one less, …,
    and none comes below one before it. The result has the order of ``p_values``.
    """
    count, least = len(p_values), 0.0
    corrected = [0.0] * count
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        least = max(least, min(1.0, (count - rank) * p_values[index]))
        corrected[index] = least
    return corrected
