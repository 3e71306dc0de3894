"""Which image sizes a network can take."""

from __future__ import annotations

from pipeline import InputError


def check_halvings(name: str, widths: int, height: int, width: int, patch: int = 1) -> None:
    """Raise InputError unless the image can be halved between every two of so many ``widths``.

    Its places are squares of ``patch`` × ``patch`` pixels.
    """
    factor = 2 ** (widths - 1) * patch
    if height % factor or width % factor:
        patches = f" and a patch of {patch}" if patch > 1 else ""
        raise InputError(
            f"{name} with {widths} widths{patches} halves the image {widths - 1} times: "
            f"{height}×{width} pixels cannot be divided by {factor}. "
            f"Resize to multiples of {factor} or give fewer widths."
        )
