"""What every metric asks of its features."""

from __future__ import annotations

from pipeline import InputError, Rows

from .blocks import FEW, blocks


def check(metric: str, real: Rows, fake: Rows, *, least: int = 2, lower: str = "") -> None:
    """Raise InputError for fewer rows than ``least``, values that are not finite, other widths.

    ``lower`` is the option to lower where there are too few.
    """
    check_side(metric, "real", real, least=least, lower=lower)
    check_side(metric, "generated", fake, least=least, lower=lower)
    if real.shape[1] != fake.shape[1]:
        raise InputError(
            f"{metric}: real features have {real.shape[1]} dimensions, generated {fake.shape[1]}; "
            "extract both with the same features"
        )


def check_side(metric: str, side: str, x: Rows, *, least: int = 2, lower: str = "") -> None:
    """Raise InputError as ``check`` does, for the features of one side."""
    if len(x.shape) != 2:
        raise InputError(f"{metric} needs features (N, D), got {tuple(x.shape)}")
    if len(x) < least:
        advice = f"; add images or lower {lower}" if lower else ""
        raise InputError(
            f"{metric} needs the features of {least} {side} images, got {len(x)}{advice}"
        )
    for number, block in enumerate(blocks(x, FEW)):
        bad = (~block.isfinite().all(1)).nonzero()
        if len(bad):
            image = number * FEW + int(bad[0])
            raise InputError(f"{metric}: the features of {side} image {image} are not finite")
