"""Why an artifact had to be built: what differs from the nearest one that is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

FIRST = "first of its kind"
SHOWN = 3
"""Differences that are named; the others are counted."""
WIDEST = 40
"""Characters of a value that are shown."""
ABSENT = object()


def explain(ingredients: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> str:
    """What changed since the nearest of ``others``, which come most recent first.

    All are canonical ingredients. Nearest: the fewest differences; of equals, the most recent.
    """
    compared = [list(differences(other, ingredients)) for other in others]
    if not compared:
        return FIRST
    nearest = min(compared, key=len)
    more = [f"and {len(nearest) - SHOWN} more"] if len(nearest) > SHOWN else []
    return "; ".join(nearest[:SHOWN] + more)


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """One phrase for each differing leaf; of a stage with another name only the name counts."""
    if old == new:
        return
    if path.startswith("inputs."):
        yield f"its {path.removeprefix('inputs.')} changed"
    elif (shape := _shape(old)) is None or shape != _shape(new):
        yield f"{path} changed: {_shown(old)} -> {_shown(new)}"
    else:
        before, after = _parts(old), _parts(new)
        if shape[0] == "stage" and before.pop("code", None) != after.pop("code", None):
            yield f"the code of {path} ({new['name']}) changed"
        for name in sorted(before.keys() | after.keys()):
            inner = f"{path}.{name}" if path else name
            yield from differences(before.get(name, ABSENT), after.get(name, ABSENT), inner)


def _is_stage(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("name"), str)


def _shape(value: Any) -> tuple[str, ...] | None:
    """Values of one shape are compared part by part; None: a leaf, compared as a whole."""
    if _is_stage(value):
        return ("stage", value["name"])
    if isinstance(value, Mapping):
        return ("mapping",)
    if isinstance(value, list) and value and all(map(_is_stage, value)):
        names = [stage["name"] for stage in value]
        return ("stages", *names) if len(set(names)) == len(names) else None
    return None


def _parts(value: Any) -> dict[str, Any]:
    """A list of stages by name, as in ``preprocess.resize.size``."""
    return dict(value) if isinstance(value, Mapping) else {stage["name"]: stage for stage in value}


def _shown(value: Any) -> str:
    if value is ABSENT or value is None:
        return "none"
    if _is_stage(value):
        return str(value["name"])
    if isinstance(value, list):
        text = f"[{', '.join(map(_shown, value))}]"
    else:
        text = value if isinstance(value, str) else json.dumps(value)
    if re.fullmatch("[0-9a-f]{64}", text):
        return text[:8]
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
