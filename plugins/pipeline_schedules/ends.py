"""Keeps schedules off rates of exactly 0, where log_snr is infinite."""

from __future__ import annotations

from torch import Tensor

from pipeline import Rates

EDGE = 4.6e-5
"""The smallest rate beside one of about 1: |log_snr| is 19.97 there, below 20 in float32 too."""


def squeezed(share: Tensor, edge: float = EDGE) -> Tensor:
    """[0, 1] -> [edge, 1 - edge], affine: nothing moves by more than edge, and nothing is flat."""
    return edge + (1 - 2 * edge) * share


def variance_preserving(alpha_bar: Tensor, rest: Tensor) -> Rates[Tensor]:
    """The rates for signal² = alpha_bar and noise² = rest = 1 - alpha_bar.

    Both are squeezed by EDGE² = 2.1e-9. Each has to be accurate where it is small, so neither may
    come from the other by 1 - ….
    """
    return Rates(squeezed(alpha_bar, EDGE**2).sqrt(), squeezed(rest, EDGE**2).sqrt())
