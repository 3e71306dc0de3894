"""A checked recipe for people: with the origin of each value, and against another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .yaml12 import flow

if TYPE_CHECKING:
    from ..plugin.registry import Registry
    from .load import Loaded
    from .schema import Recipe


def resolved(recipe: Recipe, registry: Registry) -> dict[str, Any]:
    """The recipe as plain data, every default filled in; itself a recipe."""
    return registry.plain(recipe)


def show(loaded: Loaded) -> str:
    """The resolved recipe as YAML, the origin of each value behind it."""
    lines = [(t, loaded.origins.get(p)) for t, p in _lines(loaded.data, "", "")]
    width = max(len(text) for text, origin in lines if origin)
    return "".join(f"{t:{width}}  # {o}\n" if o else f"{t}\n" for t, o in lines)


def diff(a: Loaded, b: Loaded) -> str:
    """What differs, a line each: ``backbone.upsampler: bilinear -> transposed_conv``.

    The recipes' names do not count.
    """
    one, other = ({k: v for k, v in loaded.data.items() if k != "name"} for loaded in (a, b))
    return "\n".join(differences(one, other)) or "no difference"


def differences(a: Any, b: Any, path: str = "") -> Iterator[str]:
    """A line for each difference of plain data. A stage of another name differs as a whole."""
    at = f"{path}." if path else ""
    if isinstance(a, Mapping) and isinstance(b, Mapping) and a.get("name") == b.get("name"):
        for key in dict.fromkeys([*a, *b]):
            yield from differences(a.get(key), b.get(key), f"{at}{key}")
    elif (names := _names(a)) and names == _names(b):
        for name, one, other in zip(names, a, b, strict=True):
            yield from differences(one, other, f"{at}{name}")
    elif a != b:
        yield f"{path}: {_brief(a)} -> {_brief(b)}"


def _names(value: Any) -> list[str] | None:
    """Of a list of stages."""
    if not isinstance(value, list) or not all(isinstance(v, Mapping) for v in value):
        return None
    return [v["name"] for v in value]


def _brief(value: Any) -> str:
    if isinstance(value, Mapping) and "name" in value:
        return str(value["name"])
    names = _names(value)
    return flow(value if names is None else names)


def _lines(data: Any, indent: str, path: str) -> Iterator[tuple[str, str]]:
    """Lines of YAML, each with the path of the value in it."""
    for key, value in data.items():
        place = f"{path}.{key}" if path else key
        if isinstance(value, Mapping) and value:
            yield f"{indent}{flow(key)}:", place
            yield from _lines(value, indent + "  ", place)
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            yield f"{indent}{flow(key)}:", place
            for index, item in enumerate(value):
                (first, at), *rest = _lines(item, indent + "    ", f"{place}.{index}")
                yield f"{indent}  - {first.lstrip()}", at
                yield from rest
        else:
            yield f"{indent}{flow(key)}: {flow(value)}", place
