"""A difference between two models with the error that comes from finite samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import inference


@dataclass(frozen=True)
class Difference:
    """A metric of the second model minus that of the first, of these very networks.

    What other images of the same networks and other real images would have given is in the
    standard error; what other training seeds would have given is not: see ``seeds.py``.
    """

    value: float
    """The mean over pairs of networks."""
    by_pair: tuple[float, ...]
    standard_error: float | None
    """Of ``value``; 0 where the images of both are the same. None: not to be had."""
    method: str
    """How the standard error was found, in words; why there is none."""
    degrees_of_freedom: float = math.inf
    """Of the standard error."""

    def interval(self, level: float = 1 - inference.LEVEL) -> tuple[float, float] | None:
        """Covers the networks' true difference in a share ``level`` of cases."""
        if self.standard_error is None:
            return None
        return inference.interval(self.value, self.standard_error, self.degrees_of_freedom, level)

    @property
    def p(self) -> float | None:
        """Two-sided, of no difference between these networks."""
        if self.standard_error is None:
            return None
        return inference.p_value(self.value, self.standard_error, self.degrees_of_freedom)

    @property
    def smallest_seen(self) -> float | None:
        """The smallest true difference of such networks that as many images show, 80 % power."""
        if self.standard_error is None:
            return None
        return inference.smallest_seen(self.standard_error, self.degrees_of_freedom)
