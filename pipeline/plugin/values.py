"""The values that the engine and the stages pass to each other.

The symbols (x, x0, eps, signal, noise, …) stand in a table in ``contracts.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Number = TypeVar("Number", float, "Tensor")

MAX_LOG_SNR: Final = 20.0
"""The bound on |log_snr| of every schedule: beyond it float32 cannot tell signal from noise."""

NO_CLASS: Final = -1
"""The label that says "no class": what a network sees of dropped labels and without guidance."""


class Rates(NamedTuple, Generic[Number]):
    """How much of x is signal and how much is noise: floats, or tensors of one shape."""

    signal: Number
    noise: Number

    @property
    def c(self) -> Number:
        """sqrt(signal² + noise²): x / c has unit variance; 1 for variance-preserving schedules."""
        c: Number = (self.signal**2 + self.noise**2) ** 0.5
        return c

    @property
    def scaled(self) -> Rates[Number]:
        """The rates of x / c, which is what every network sees."""
        c = self.c
        return Rates(self.signal / c, self.noise / c)

    @property
    def sigma(self) -> Number:
        """noise / signal: the noise level of Karras et al. 2022 for x / signal."""
        return self.noise / self.signal

    @property
    def log_snr(self) -> Number:
        """2 log(signal / noise)."""
        ratio = self.signal / self.noise
        return 2 * (math.log(ratio) if isinstance(ratio, float) else ratio.log())

    def over(self: tuple[float | Tensor, float | Tensor], x: Tensor) -> Rates[Tensor]:
        """The rates as tensors that broadcast over images x: (N, 1, 1, 1) with N = len(x) or 1."""
        signal, noise = self
        return Rates(_over(signal, x), _over(noise, x))


def _over(rate: float | Tensor, x: Tensor) -> Tensor:
    values = x.new_full((), rate) if isinstance(rate, float) else rate
    return values.reshape(-1, *[1] * (x.dim() - 1)).to(x)


CLEAN: Final = Rates(1.0, 0.0)
"""The last level of every sampling: no noise is left."""


class Prediction(NamedTuple):
    """What a network's output says of x = signal * x0 + noise * eps: its image and its noise."""

    x0: Tensor
    eps: Tensor


@dataclass(frozen=True)
class Score:
    """A metric's value. Two values can be compared where ``protocol`` is the same for both."""

    value: float
    standard_error: float | None = None
    """The error of ``value`` from finite samples of the same networks; None: it is not known."""
    protocol: Mapping[str, object] = field(default_factory=dict)
    """What the metric itself did (estimator, …); the engine adds images, extractor and sampler."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """Further values by name that ``value`` was made from. Of these ``precision`` is how many
    generated images lie where real ones are, and ``recall`` the other way."""
