"""A difference between two models with the error that comes from finite samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import inference


@dataclass(frozen=True)
class Difference:
    """A metric of the second model minus that of the first, of these very networks.

    What other images of the same networks and other real images would have given is in the
    standard error; what other training seeds would have given is not.
    """

    value: float
    """The mean over pairs of networks."""
    by_pair: tuple[float, ...]
    standard_error: float | None
    """The error of ``value``; 0 where the images of both are the same. None: it is not known."""
    method: str
    """How the standard error was computed, in words; or why there is none."""
    degrees_of_freedom: float = math.inf
    """The degrees of freedom of the standard error; infinite: it is exact."""

    def interval(self, level: float = 1 - inference.LEVEL) -> tuple[float, float] | None:
        """An interval that covers the networks' true difference in a share ``level`` of cases."""
        if self.standard_error is None:
            return None
        return inference.interval(self.value, self.standard_error, self.degrees_of_freedom, level)

    @property
    def p(self) -> float | None:
        """The two-sided p-value of no difference between these networks; None without an error."""
        if self.standard_error is None:
            return None
        return inference.p_value(self.value, self.standard_error, self.degrees_of_freedom)

    @property
    def smallest_seen(self) -> float | None:
        """The smallest true difference of such networks that as many images show, 80 % power."""
        if self.standard_error is None:
            return None
        return inference.smallest_seen(self.standard_error, self.degrees_of_freedom)
