"""Schedules."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field

from pipeline import Rates, stage


def circle(angle):
    return Rates(angle.cos(), angle.sin())


@stage
class UpsideDown:
    """t = 0 is noise and t = 1 the image."""

    caught_by: ClassVar = "log snr falls"

    def __call__(self, t):
        return circle(1.5 - 1.3 * t)


@stage
class NotMonotone:
    """Noise falls again for a while: log-SNR is not monotone."""

    caught_by: ClassVar = "log snr falls"

    def __call__(self, t):
        return circle(0.2 + 1.1 * t + 0.1 * (20 * t).sin())


@stage
class Unbounded:
    """No image is left at t = 1 and no noise at t = 0: log-SNR is infinite."""

    caught_by: ClassVar = "rates are within bounds"

    def __call__(self, t):
        return Rates(1 - t, t)


@stage
class TooNoisy:
    """log-SNR goes beyond 20, where single precision cannot tell signal from noise."""

    caught_by: ClassVar = "rates are within bounds"

    def __call__(self, t):
        log_snr = 10 - 31 * t
        return Rates(log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt())


@stage
class IgnoresDtype:
    """It answers in float32 whatever the dtype of t is."""

    caught_by: ClassVar = "keeps shape and dtype"

    def __call__(self, t):
        return circle(0.2 + 1.3 * t.float())


@stage
class Flattens:
    """It looks t up in a table and loses its shape."""

    caught_by: ClassVar = "keeps shape and dtype"

    def __call__(self, t):
        return circle((0.2 + 1.3 * t).reshape(-1))


@stage
class NormalisedByTheBatch:
    """It divides by the largest t that it is given instead of 1."""

    caught_by: ClassVar = "keeps shape and dtype"

    def __call__(self, t):
        return circle(0.2 + 1.3 * t / t.max())


@stage
class Cancels:
    """noise = sqrt(1 - signal²) loses all digits in single precision where noise is small."""

    caught_by: ClassVar = "precisions agree"

    def __call__(self, t):
        signal = (2e-4 + 1.4 * t).cos()
        return Rates(signal, (1 - signal**2).clamp(min=1e-8).sqrt())


@stage
class InPlace:
    """It scales the t that it was given in place."""

    caught_by: ClassVar = "leaves t as it is"

    def __call__(self, t):
        return circle(t.mul_(1.3).add(0.2))


@stage
class OnTheCpu:
    """Its table stays on the CPU wherever t is."""

    caught_by: ClassVar = "keeps the device"

    def __call__(self, t):
        table = torch.linspace(0.2, 1.5, 1001, dtype=t.dtype)
        return circle(table[0] + (table[-1:] - table[:1]) * t)


@stage
class UnusedOffset:
    """One of its two options is overwritten by the other."""

    caught_by: ClassVar = "every option matters"

    start: Annotated[float, Field(gt=0.01, lt=0.5)] = 0.2
    """Angle at t = 0."""
    offset: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Added to the angle at t = 0."""

    def __call__(self, t):
        start = self.start + self.offset
        start = self.start
        return circle(start + (1.5 - start) * t)


@stage
class StopsNearTheEnd:
    """Below t = 0.0005 it stays what it is there, which only a fine grid shows."""

    caught_by: ClassVar = "log snr falls"

    def __call__(self, t):
        return circle(0.1 + 1.2 * t.clamp(min=0.0005))


@stage
class LosesDigits:
    """The noise is 1 - signal² under a root: of a small one float32 leaves no digit."""

    caught_by: ClassVar = "precisions agree"

    def __call__(self, t):
        signal = (1e-4 + 1.5 * t).cos()
        return Rates(signal, (1 - signal**2).clamp(min=1e-12).sqrt())


@stage
class OneFlatTable:
    """It takes at most 4096 times at once, and gives later ones the last rate."""

    caught_by: ClassVar = "keeps shape and dtype"

    def __call__(self, t):
        flat = t.reshape(-1).clone()
        flat[4096:] = flat[:4096][-1:]
        return circle(0.2 + 1.1 * flat.reshape(t.shape))


@stage
class NotTogether:
    """Each of its two options is right by itself, and together they make the noise fall."""

    caught_by: ClassVar = "log snr falls"
    late: Annotated[float, Field(ge=0, le=0.2)] = 0.0
    """How much later the noise comes."""
    steep: Annotated[float, Field(ge=0, le=0.2)] = 0.0
    """How much steeper it is in the middle."""

    examples: ClassVar = ({"late": 0.2}, {"steep": 0.2})

    def __call__(self, t):
        angle = 0.1 + 1.4 * (t - 3 * (self.late + self.steep) * t * (1 - t))
        return circle(angle)


@stage
class SinglePrecisionInside:
    """It computes in float32 and gives float64: close times have the same rates."""

    caught_by: ClassVar = "precisions agree"

    def __call__(self, t):
        signal, noise = circle(0.1 + 1.4 * t.float())
        return Rates(signal.to(t.dtype), noise.to(t.dtype))
