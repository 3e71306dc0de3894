"""Why an artifact had to be built: how it differs from the most similar one that is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from ..plugin.specs import ABSENT, Change, Spec, changes, is_stage

FIRST = "first of its kind"
OLDER = "an earlier version of pipeline made it in another way"
"""The ingredients are the same, and the key is not: ``FORMAT`` was raised."""
SHOWN = 3
"""How many differences are named; the others are counted."""
WIDEST = 40
"""Values are shown with at most so many characters."""


def explain(ingredients: Spec, others: Iterable[Spec]) -> str:
    """The changes since the most similar of ``others``, which come most recent first.

    All are canonical ingredients. The most similar has the fewest differences; of equals it is the
    most recent.
    """
    compared = [sorted(changes(other, ingredients), key=_place) for other in others]
    if not compared:
        return FIRST
    nearest = min(compared, key=len)
    more = [f"and {len(nearest) - SHOWN} more"] if len(nearest) > SHOWN else []
    return "; ".join([*map(_phrase, nearest[:SHOWN]), *more])


def _place(change: Change) -> tuple[str, ...]:
    """Where the change stands in the text; a stage's code comes before its options."""
    return change.path[:-1] if change.code_of else change.path


def _phrase(change: Change) -> str:
    path = ".".join(_place(change))
    if change.code_of:
        return f"the code of {path} ({change.code_of}) changed"
    if path.startswith("inputs."):
        return f"its {path.removeprefix('inputs.')} changed"
    return f"{path} changed: {_shown(change.old)} -> {_shown(change.new)}"


def _shown(value: object) -> str:
    if value is ABSENT or value is None:
        return "none"
    if is_stage(value):
        return str(value["name"])
    if isinstance(value, list):
        text = f"[{', '.join(map(_shown, value))}]"
    else:
        text = value if isinstance(value, str) else json.dumps(value)
    if re.fullmatch("[0-9a-f]{64}", text):
        return text[:8]
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
