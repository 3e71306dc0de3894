"""What a metric with ``differences`` of its own has to keep: the contract ``PairedMetric``."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ...plugin.contracts import Metric
from ...plugin.difference import Difference
from ..core import Context, Wrong, require, untouched
from ..problems.feature_sets import COUNT, drawn, scale

REPEATS = 40
"""Independent draws of all sets, whose differences have a spread."""
SHARED = 0.95
"""Of two paired images' noise, as an amplitude: what independent images lack."""


def differences_are_those_of_its_values(stage: Metric, _: Context) -> str:
    """Of each two of three models with two seeds; the features stay as they are."""
    real = drawn(stage, COUNT, 1, 9, 0.0)[0]
    models = [
        [drawn(stage, 1, 200, seed, distance)[1] for seed in (10, 11)]
        for distance in (0.25, 0.5, 1.0)
    ]
    with untouched(real=real, models=models):
        found = _found(stage, real, models)
    if found is None:
        return ""
    values = [[stage(real, fake).value for fake in sets] for sets in models]
    require(
        sorted(found) == [(0, 1), (0, 2), (1, 2)],
        f"of three models it gives the differences {sorted(found)}, not (0, 1), (0, 2), (1, 2)",
    )
    for (a, b), told in found.items():
        expected = [second - first for first, second in zip(values[a], values[b], strict=True)]
        pairs = [*told.by_pair, told.value]
        for given, right in zip(pairs, [*expected, statistics.fmean(expected)], strict=True):
            if not abs(given - right) <= 1e-5 * scale(stage):
                raise Wrong(
                    f"model {b} minus model {a} is {given:.6g}, but their scores differ by "
                    f"{right:.6g}"
                )
        error = told.standard_error
        if error is not None and not (math.isfinite(error) and error >= 0):
            raise Wrong(f"the standard error of a difference is {error!r}")
    return f"model 1 minus model 0: {found[0, 1].value:.3g}, by {found[0, 1].method}"


def has_the_right_standard_error_of_a_difference(stage: Metric, _: Context) -> str:
    """The spread over repetitions of paired images, within a factor of 2."""
    found = [_paired(stage, 40 * repeat) for repeat in range(REPEATS)]
    told = [d for d in found if d is not None and d.standard_error is not None]
    if len(told) < REPEATS / 2:
        return ""
    spread = statistics.stdev(d.value for d in told)
    error = math.sqrt(statistics.fmean((d.standard_error or 0) ** 2 for d in told))
    if not spread / 2 <= error <= 2 * spread:
        raise Wrong(
            f"the standard error of a difference is {error:.3g}, but it spreads by {spread:.3g} "
            f"over {REPEATS} draws: rows of both models are paired, one draw"
        )
    return f"{error:.3g} where the difference spreads by {spread:.3g}"


def _paired(stage: Metric, seed: int) -> Difference | None:
    """Of two models whose images are nearly the same."""
    real, start = drawn(stage, 128, 128, 1000 + seed, 0.5)
    own = [drawn(stage, 1, 128, 1001 + seed + k, 0.5)[1] for k in range(2)]
    first, second = (SHARED * start + (1 - SHARED**2) ** 0.5 * x for x in own)
    found = _found(stage, real, [[first], [second]])
    return None if found is None else found[0, 1]


def _found(
    stage: Any, real: Tensor, models: Sequence[Sequence[Tensor]]
) -> dict[tuple[int, int], Difference] | None:
    """None where it has no ``differences``, or not with these options."""
    own = getattr(stage, "differences", None)
    found: dict[tuple[int, int], Difference] | None = own(real, models) if own else None
    return found


CHECKS = (differences_are_those_of_its_values, has_the_right_standard_error_of_a_difference)
