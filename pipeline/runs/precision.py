"""The precisions of a recipe: which are left to the device, and which this one does not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..diffusion.precision import check_precision, tell_imitated

SECTIONS = ("train", "sample", "evaluate")


def automatic(data: Mapping[str, Any]) -> list[str]:
    """The sections of a recipe whose precision is ``auto``."""
    return [key for key in SECTIONS if (data[key] or {}).get("precision") == "auto"]


def check_precisions(data: Mapping[str, Any], device: str) -> None:
    """InputError for a precision of the recipe that the device does not have."""
    given = {f"{key}.precision": data[key]["precision"] for key in SECTIONS if data[key]}
    for key, precision in given.items():
        check_precision(precision, device, key)
    tell_imitated(given, device)
