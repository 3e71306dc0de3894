"""The options of a stage as plain data: numbers, texts, lists and mappings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from .every import Every
from .options import all_options, is_stage_class, options_within

Nested = Callable[[object, str], object]
"""How a stage that is an option of another one is written, given its kind."""


def plain_options(owner: object, nested: Nested, *, io_only: bool) -> dict[str, object]:
    """The options of a stage, or of a group of options, by name.

    ``io_only`` says whether options that tell where something is are among them. Raises TypeError
    for a value that is not plain data.
    """

    def plain(value: object, kind: str | None) -> object:
        if isinstance(value, (list, tuple)):
            return [plain(item, kind) for item in value]
        if isinstance(value, Mapping):
            return {str(key): plain(item, kind) for key, item in value.items()}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if kind:
            return nested(value, kind)
        if isinstance(value, (set, frozenset)):
            return [plain(item, kind) for item in sorted(value)]
        if is_stage_class(type(value)):
            return plain_options(value, nested, io_only=io_only)
        if isinstance(value, (PurePath, Every)):
            return str(value)
        # The text of other objects may hold an address, and be another one in each process.
        raise TypeError(f"an option of {type(owner).__name__} is {value!r}: not plain data")

    data: dict[str, Any] = {
        name: plain(getattr(owner, option.field), option.kind)
        for name, option in all_options(type(owner)).items()
        if io_only or not option.io_only
    }
    for name, within in options_within(type(owner)).items():
        data[name] = {**data[name], **{n: data.pop(n) for n in within if n in data}}
    return data
