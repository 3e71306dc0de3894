"""Shows a checked recipe to people: with the origin of each value, and against another."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..plugin.registry import Registry
from ..plugin.specs import ABSENT, changes, is_stage, stage_names
from .complaints import join
from .keys import keys_as_text
from .load import Loaded, check_recipe, load
from .merge import PACKAGED
from .yaml12 import flow


def show(
    recipe: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    keys: str | None = None,
    plugins: Sequence[Path] = (),
) -> str:
    """A recipe as YAML with every default filled in, and behind each value where it comes from.

    recipe: its file, or the name of a packaged one, such as ``quickstart``.
    overrides: values to change, each like ``backbone.upsampler=nearest``.
    keys: instead of a recipe, every key that one may have: of this section, or all for "".
    plugins: files with stages, beside the packages that are installed.

    The text is itself a recipe. Raises InputError with a line for each problem.
    """
    if recipe is None:
        return keys_as_text(keys or "")
    return recipe_as_yaml(check_recipe(recipe, overrides, plugins=plugins))


def diff(a: str | Path, b: str | Path, *, plugins: Sequence[Path] = ()) -> str:
    """What differs between two recipes, a line each: ``backbone.upsampler: bilinear -> nearest``.

    a, b: their files, or names of packaged ones; what the recipes call themselves does not count.
    plugins: files with stages, beside the packages that are installed.

    Raises InputError with a line for each problem of the first recipe that has any.
    """
    registry = Registry.load(plugins)
    return recipe_differences(load(a, registry=registry), load(b, registry=registry))


def recipe_as_yaml(loaded: Loaded) -> str:
    """The resolved recipe as YAML, the origin of each value behind it."""
    origins = {path: _in_short(origin) for path, origin in loaded.origins.items()}
    lines = [(text, origins.get(path)) for text, path in _lines(loaded.data, "", "")]
    width = max(len(text) for text, origin in lines if origin)
    return "".join(f"{t:{width}}  # {origin}\n" if origin else f"{t}\n" for t, origin in lines)


def _in_short(text: str) -> str:
    """Without the folder of a packaged recipe: on another machine it is another one."""
    for folder in PACKAGED:
        text = text.removeprefix(f"{folder}{os.sep}")
    return text


def recipe_differences(a: Loaded, b: Loaded) -> str:
    """What differs, a line each, or ``no difference``. The recipes' names do not count."""
    old, new = ({k: v for k, v in loaded.data.items() if k != "name"} for loaded in (a, b))
    return "\n".join(spec_differences(old, new)) or "no difference"


def spec_differences(old: object, new: object) -> Iterator[str]:
    """A line for each difference of plain data. A stage of another name differs as a whole."""
    for change in changes(old, new):
        before, after = (None if v is ABSENT else v for v in (change.old, change.new))
        if before != after:
            yield f"{'.'.join(change.path)}: {_brief(before)} -> {_brief(after)}"


def _brief(value: object) -> str:
    """A value on one line; stages by their names alone."""
    if is_stage(value):
        return str(value["name"])
    names = stage_names(value)
    return flow(value if names is None else names)


def _lines(data: Mapping[str, object], indent: str, path: str) -> Iterator[tuple[str, str]]:
    """Lines of YAML, each with the path of the value in it."""
    for key, value in data.items():
        inner = join(path, key)
        if isinstance(value, Mapping) and value:
            yield f"{indent}{flow(key)}:", inner
            yield from _lines(value, indent + "  ", inner)
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            yield f"{indent}{flow(key)}:", inner
            for index, item in enumerate(value):
                (first, at), *rest = _lines(item, indent + "    ", join(inner, str(index)))
                yield f"{indent}  - {first.lstrip()}", at
                yield from rest
        else:
            yield f"{indent}{flow(key)}: {flow(value)}", inner
