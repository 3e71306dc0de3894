"""Which image sizes a network can take."""

from __future__ import annotations

from pipeline import InputError


def check_halvings(name: str, widths: int, height: int, width: int) -> None:
    """Raise InputError unless the image can be halved between every two of so many ``widths``."""
    factor = 2 ** (widths - 1)
    if height % factor or width % factor:
        raise InputError(
            f"{name} with {widths} widths halves the image {widths - 1} times: "
            f"{height}×{width} pixels cannot be divided by {factor}. "
            f"Resize to multiples of {factor} or give fewer widths."
        )
