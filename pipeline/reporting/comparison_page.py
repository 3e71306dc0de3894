"""The page of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def comparison_page(data: Mapping[str, Any], sheets: Mapping[str, Any]) -> str:
    """One HTML file."""
    raise NotImplementedError
