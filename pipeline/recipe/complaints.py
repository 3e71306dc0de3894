"""pydantic's complaints about options, in words for someone who writes YAML."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from ..plugin.nearest import nearest
from .tree import Node, Origin, Problem
from .yaml12 import flow

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from ..plugin.options import Option

LONGEST = 60
"""Characters of a value that a message shows."""


def complaints(
    error: ValidationError,
    known: Mapping[str, Option],
    failed: Collection[str],
    node: Node,
    path: str,
) -> Iterator[Problem]:
    """A problem for each value that pydantic refused, but for the options that ``failed`` before.

    ``node`` holds the options that were given, and ``path`` leads to it.
    """
    told: dict[tuple[Origin, str], list[str]] = {}
    details = error.errors(include_url=False)
    inner = {detail["loc"][:-1] for detail in details if detail["loc"]}
    for detail in details:
        loc = detail["loc"]
        # A list without its wrong items may also be too short: one complaint is enough.
        if not loc or (loc[0] not in failed and loc not in inner):
            at, where = _locate(node, path, loc)
            told.setdefault((at.origin, where), []).append(_reworded(detail, known))
    for (origin, where), messages in told.items():
        yield Problem(origin, where, " or ".join(dict.fromkeys(messages)))


def join(path: str, name: str) -> str:
    """``backbone`` and ``widths`` -> ``backbone.widths``."""
    return f"{path}.{name}" if path else name


def shown(value: object) -> str:
    """A value as the user wrote it, cut where it is long."""
    if value is None:
        return "nothing"
    plain = Node(value, Origin("")).plain
    text = flow(plain) if isinstance(plain, (dict, list, bool, float, int)) else repr(plain)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _locate(node: Node, path: str, loc: tuple[int | str, ...]) -> tuple[Node, str]:
    """The innermost value that was given on the way to a place in pydantic's words."""
    for step in loc:
        inner = node.mapping.get(str(step))
        if isinstance(step, int) and step < len(node.items):
            inner = node.items[step]
        if inner is None:
            break
        node, path = inner, join(path, str(step))
    return node, path


_EXPECTED = {"int": "a whole number", "float": "a number", "bool": "true or false"}
_EXPECTED |= {"string": "text", "list": "a list", "tuple": "a list", "dict": "a mapping"}


def _reworded(detail: ErrorDetails, known: Mapping[str, Option]) -> str:
    """One complaint, with what was given."""
    kind, message = detail["type"], detail["msg"]
    if kind == "missing":
        return f"should be {known[str(detail['loc'][0])].text}"
    if kind in ("value_error", "assertion_error"):
        return message.partition(", ")[2]
    if kind.startswith("path_not_"):
        return f"there is no such {kind.rpartition('_')[2]}: {detail['input']}"
    expected = _EXPECTED.get(kind.partition("_")[0])
    if kind.endswith(("_type", "_parsing", "_from_float")) and expected:
        message = f"should be {expected}"
    if kind == "literal_error":
        message += _meant(str(detail["input"]), detail["ctx"]["expected"])
    message = re.sub(r"^\w+ should", "should", message)
    return f"{message}, got {shown(Node.of(detail['input'], Origin('')).value)}"


def _meant(given: str, expected: str) -> str:
    """`` (did you mean 'mse'?)``; pydantic says ``'mae' or 'mse'``."""
    near = nearest(given, expected.replace(" or ", ", ").replace("'", "").split(", "))
    return "" if near is None else f" (did you mean {near!r}?)"
