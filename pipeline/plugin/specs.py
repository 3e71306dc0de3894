"""Compares two specs: settings as plain data, in which a stage is ``{"name": …, **options}``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeGuard

ABSENT: Final = object()
"""Stands for a value that one of the two specs does not have."""

CODE: Final = "code"
"""The key under which a stage's ingredients hold the identity of its code."""

Spec = Mapping[str, object]


class Change(NamedTuple):
    """A value that differs between two specs."""

    path: tuple[str, ...]
    """The keys that lead to the value; a stage in a list is reached by its name."""
    old: object
    new: object
    code_of: str | None = None
    """The stage's name where the value is the identity of a stage's code."""


def changes(old: object, new: object, path: tuple[str, ...] = ()) -> Iterator[Change]:
    """Yield what differs, value by value, in the order of ``old`` and then of ``new``.

    Sections and stages of one name are compared key by key, and lists of stages stage by stage
    where the names are equal. All else differs as a whole; so does the code of a stage.
    """
    if old == new:
        return
    parts = _parts(old, new)
    if parts is None:
        yield Change(path, old, new)
        return
    for step, before, after in parts:
        if step == CODE and is_stage(old):
            if before != after:
                yield Change((*path, step), before, after, code_of=str(old["name"]))
        else:
            yield from changes(before, after, (*path, step))


def is_stage(spec: object) -> TypeGuard[Spec]:
    """Whether this is the spec of a stage."""
    return isinstance(spec, Mapping) and isinstance(spec.get("name"), str)


def stage_names(spec: object) -> list[str] | None:
    """The names of a list of stages; None for an empty list and for anything else."""
    if not isinstance(spec, list) or not spec or not all(map(is_stage, spec)):
        return None
    return [str(stage["name"]) for stage in spec]


def _parts(old: object, new: object) -> Sequence[tuple[str, object, object]] | None:
    """The values of both by the step that leads to them; None where they differ as a whole."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        if old.get("name") != new.get("name"):
            return None
        steps = dict.fromkeys([*old, *new])
        return [(step, old.get(step, ABSENT), new.get(step, ABSENT)) for step in steps]
    if isinstance(old, list) and isinstance(new, list):
        names = stage_names(old)
        if names is not None and names == stage_names(new):
            return list(zip(names, old, new, strict=True))
    return None
