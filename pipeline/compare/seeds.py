"""How sure a difference of two recipes is, of a few training seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ..plugin import inference


@dataclass(frozen=True)
class Seeds:
    """The mean difference over pairs of trainings, each with a seed of its own."""

    mean: float
    standard_error: float
    """The differences' deviation over the root of their number."""
    degrees_of_freedom: int
    """One less than seeds."""

    def interval(self, level: float = 1 - inference.LEVEL) -> tuple[float, float] | None:
        """t interval: covers the recipes' true difference in a share ``level`` of cases.

        None where the seeds all gave the same but not 0: without a spread nothing is known.
        """
        if self._unknown:
            return None
        return inference.interval(self.mean, self.standard_error, self.degrees_of_freedom, level)

    @property
    def p(self) -> float | None:
        """Two-sided, of no difference between the recipes; None as for the interval."""
        if self._unknown:
            return None
        return inference.p_value(self.mean, self.standard_error, self.degrees_of_freedom)

    @property
    def smallest_seen(self) -> float:
        """The smallest true difference that as many seeds find with 80 % power.

        As if the true deviation were that of these seeds; where there are three of them, it may
        well be half or six times as large (95 % interval of the deviation).
        """
        return inference.smallest_seen(self.standard_error, self.degrees_of_freedom)

    @property
    def _unknown(self) -> bool:
        return self.standard_error == 0 and self.mean != 0


def over_seeds(differences: Sequence[float]) -> Seeds:
    """Paired t over seeds, each difference that of two models trained with the same seed.

    What other images would have given is in the spread too, since each seed draws its own, except
    for the real images, which all share. Raises ValueError for fewer than 2.
    """
    count = len(differences)
    if count < 2:
        raise ValueError(f"an interval over training seeds needs 2 of them, got {count}")
    error = statistics.stdev(differences) / math.sqrt(count)
    return Seeds(statistics.fmean(differences), error, count - 1)


def seeds_needed(standard_deviation: float, effect: float) -> int:
    """How many seeds, at least 2, find a true difference of ``effect`` with 80 % power.

    ``standard_deviation`` is that of the difference from seed to seed. Raises ValueError for an
    effect that is not above 0.
    """
    if not effect > 0:
        raise ValueError(f"an effect to be seen is above 0, got {effect}")
    normal = inference.smallest_seen(standard_deviation, math.inf) / effect
    count = max(2, math.ceil(normal**2))  # Student's t needs a few more
    while inference.smallest_seen(standard_deviation / math.sqrt(count), count - 1) > effect:
        count += 1
    return count
