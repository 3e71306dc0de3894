"""Names what ``--set`` changed, as shortly as is clear: ``upsampler=nearest`` ends a run's name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import zip_longest

from ..plugin.options import is_stage_class, options, options_within

Path = tuple[str, ...]
"""The keys that lead to a value; a stage in a list is reached by its name or number."""


def name_changes(recipe: object, data: object, changes: Mapping[Path, str]) -> list[str]:
    """``upsampler=nearest`` for each change that is not only about input and output.

    Each is the shortest end of a path in ``data`` (the recipe as plain data) that no other has.
    """
    ends = Counter(end for path in _paths(data) for end in _ends(path))
    names = []
    for path, value in changes.items():
        if not is_io_only(recipe, data, path):
            end = next((e for e in _ends(path) if ends[e] == 1), path)
            value = re.sub(r"[^\w.+,-]+", "-", re.sub(r"[][{}\"'\s]", "", value))
            names.append(f"{'.'.join(end)}={value}")
    return names


def _ends(path: Path) -> Iterator[Path]:
    return (path[start:] for start in reversed(range(len(path))))


def _paths(data: object, path: Path = ()) -> Iterator[Path]:
    """Every path that ``--set`` can reach; stages in lists by name."""
    if path:
        yield path
    for key, value in data.items() if isinstance(data, dict) else _stages(data):
        yield from _paths(value, (*path, key))


def _stages(data: object) -> list[tuple[str, object]]:
    """The stages of a list with their names."""
    items = data if isinstance(data, list) else []
    return [(item["name"], item) for item in items if isinstance(item, dict) and "name" in item]


def is_io_only(value: object, data: object, path: Path) -> bool:
    """Whether the option at this path, or one that holds it, says only where something is."""
    for step, inner in zip_longest(path, path[1:], fillvalue=""):
        if isinstance(value, (list, tuple)) and isinstance(data, list):
            names = [name for name, _ in _stages(data)]
            if step not in names and not step.isdecimal():
                return False  # another stage has been put in its place
            index = int(step) if step.isdecimal() else names.index(step)
            value, data = value[index], data[index]
        elif is_stage_class(type(value)) and step in (known := options(type(value))):
            within = options_within(type(value)).get(step, {})
            if known[step].io_only or (inner in within and within[inner].io_only):
                return True
            value = getattr(value, known[step].field)
            data = data[step] if isinstance(data, dict) else None
    return False
