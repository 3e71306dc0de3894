"""Checks of a metric with ``differences`` of its own: the contract ``PairedMetric``."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from torch import Tensor

from ...plugin.contracts import Metric
from ...plugin.difference import Difference
from ..context import Check, Context, Wrong, require
from ..problems.feature_sets import COUNT, feature_sets, scale_of
from ..same import untouched

REPEATS = 40
"""Independent draws of all sets, whose differences have a spread."""
FACTOR = 1.6
"""By how much the error may be off: four times what chance leaves of so few draws."""
SHARED = 0.95
"""How much of their noise two paired images share, as an amplitude."""

Differences = dict[tuple[int, int], Difference]
"""(a, b) -> the value of model b minus that of model a."""


def differences_are_those_of_its_values(stage: Metric, _: Context) -> str:
    """They are, for each two of three models with two seeds; the features stay as they are."""
    real = feature_sets(stage, COUNT, 1, 9, 0.0)[0]
    models = [
        [feature_sets(stage, 1, 200, seed, distance)[1] for seed in (10, 11)]
        for distance in (0.25, 0.5, 1.0)
    ]
    with untouched(real=real, models=models):
        differences = _differences(stage, real, models)
    if differences is None:
        return ""
    require(
        sorted(differences) == [(0, 1), (0, 2), (1, 2)],
        f"of three models it gives the differences {sorted(differences)}, not (0, 1), (0, 2), "
        "(1, 2)",
    )
    values = [[stage(real, fake).value for fake in sets] for sets in models]
    allowed = 1e-5 * scale_of(stage)
    for (a, b), difference in differences.items():
        by_seed = [second - first for first, second in zip(values[a], values[b], strict=True)]
        _check_values(difference, by_seed, allowed, f"model {b} minus model {a}")
        _check_error(difference)
    return f"model 1 minus model 0: {differences[0, 1].value:.3g}, by {differences[0, 1].method}"


def has_the_right_standard_error_of_a_difference(stage: Metric, _: Context) -> str:
    """It is the spread over repetitions of paired images, within a factor of 1.6.

    The models have one seed, then four: with four, an error that forgets the root of their number,
    or takes it twice, is off by 2.
    """
    told = [_right_error(stage, seeds) for seeds in (1, 4)]
    return "; ".join(filter(None, told))


CHECKS: Sequence[Check] = (
    differences_are_those_of_its_values,
    has_the_right_standard_error_of_a_difference,
)


def _right_error(stage: Metric, seeds: int) -> str:
    """Words for both, or "" where no error is given. Raises Wrong where it is not the spread."""
    differences = [_paired(stage, 40 * repeat, seeds) for repeat in range(REPEATS)]
    known = [d for d in differences if d is not None and d.standard_error is not None]
    if len(known) < REPEATS / 2:
        return ""
    spread = statistics.stdev(d.value for d in known)
    error = math.sqrt(statistics.fmean((d.standard_error or 0) ** 2 for d in known))
    if not spread / FACTOR <= error <= FACTOR * spread:
        raise Wrong(
            f"the standard error of a difference is {error:.3g}, but it spreads by {spread:.3g} "
            f"over {REPEATS} draws of {seeds} seeds: rows of both models are paired, one draw"
        )
    return f"{error:.3g} where that of {seeds} seeds spreads by {spread:.3g}"


def _differences(
    stage: Metric, real: Tensor, models: Sequence[Sequence[Tensor]]
) -> Differences | None:
    """What the metric says; None where it has no ``differences``, or not with these options."""
    method = getattr(stage, "differences", None)
    differences: Differences | None = method(real, models) if method else None
    return differences


def _paired(stage: Metric, seed: int, seeds: int) -> Difference | None:
    """The difference of two models, of so many seeds, whose images are nearly the same."""
    real, start = feature_sets(stage, 128, 128, 1000 + seed, 0.5)
    own = [feature_sets(stage, 1, 128, 1001 + seed + k, 0.5)[1] for k in range(2 * seeds)]
    sets = [SHARED * start + (1 - SHARED**2) ** 0.5 * x for x in own]
    differences = _differences(stage, real, [sets[:seeds], sets[seeds:]])
    return None if differences is None else differences[0, 1]


def _check_values(
    difference: Difference, by_seed: Sequence[float], allowed: float, what: str
) -> None:
    """Raise Wrong unless the difference, and that of each seed, is that of the metric's values."""
    given = [*difference.by_pair, difference.value]
    for value, right in zip(given, [*by_seed, statistics.fmean(by_seed)], strict=True):
        if not abs(value - right) <= allowed:
            raise Wrong(f"{what} is {value:.6g}, but their scores differ by {right:.6g}")


def _check_error(difference: Difference) -> None:
    error = difference.standard_error
    if error is not None and not (math.isfinite(error) and error >= 0):
        raise Wrong(f"the standard error of a difference is {error!r}")
