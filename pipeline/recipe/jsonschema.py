"""Recipes as a JSON Schema, by which editors complete and check them: ``pipeline schema``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from inspect import cleandoc
from pathlib import Path
from types import NoneType
from typing import Any, cast
from warnings import catch_warnings, simplefilter

from pydantic import TypeAdapter

from ..errors import InputError
from ..plugin.every import Every
from ..plugin.kinds import CONTRACTS
from ..plugin.options import Option, atoms, options, options_within
from ..plugin.registry import Entry, Registry
from .schema import Recipe

TITLE = "A recipe of pipeline"

Json = dict[str, Any]


def schema(*, plugins: Sequence[Path] = (), out: Path | None = None) -> Json:
    """The JSON Schema (2020-12) of recipes, with every installed stage, its options and defaults.

    plugins: files with stages, beside the packages that are installed.
    out: a file to write it to; one that is there already must be such a schema.

    Raises InputError where another file would be overwritten.
    """
    made = recipe_schema(Registry.load(plugins))
    if out:
        if out.exists() and TITLE not in out.read_text(encoding="utf-8", errors="replace"):
            raise InputError(f"{out} is there and is no schema of recipes: take another name")
        out.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return made


def recipe_schema(registry: Registry) -> Json:
    """The schema. What an extending recipe leaves out may be missing, and all else is said."""
    top = _section(Recipe, registry)
    top["properties"]["extends"] = {
        "type": "string",
        "description": "The recipe that this one changes: a path beside it, or a packaged name.",
    }
    given = [name for name, option in options(Recipe).items() if option.required]
    needed = [name for name in given if name != "name"]  # without it the file's name stands
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLE,
        **top,
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": needed},
        "$defs": {kind: _kind(kind, registry) for kind in CONTRACTS},
    }


def _section(cls: type, registry: Registry) -> Json:
    """A mapping of these options and no others."""
    properties = {name: _option(option, registry) for name, option in options(cls).items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _kind(kind: str, registry: Registry) -> Json:
    """A stage of a kind: its name, or a mapping with the name and the options of that stage.

    A mapping without a name changes options of the stage that the recipe below it, or the default,
    names: it may have those of any.
    """
    stages = {entry.name: stage_schema(entry, registry) for entry in registry.entries(kind)}
    every: dict[str, list[Json]] = {}
    for stage in stages.values():
        for name, value in stage["properties"].items():
            if name != "name" and value not in every.setdefault(name, []):
                every[name].append(value)
    return {
        "description": cleandoc(CONTRACTS[kind].__doc__ or ""),
        "anyOf": [
            {"enum": list(stages)},
            {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"enum": list(stages)}},
                "allOf": [
                    {"if": {"properties": {"name": {"const": name}}}, "then": stage}
                    for name, stage in stages.items()
                ],
            },
            {
                "type": "object",
                "properties": {name: {"anyOf": values} for name, values in every.items()},
                "additionalProperties": False,
            },
        ],
    }


def stage_schema(entry: Entry, registry: Registry) -> Json:
    """The mapping of one stage, with the engine's own options in it."""
    cls = entry.load()
    known = {**options(cls), **options_within(Recipe).get(entry.kind, {})}
    own = {name: _option(option, registry) for name, option in known.items()}
    return {
        "description": cleandoc(cls.__doc__ or ""),
        "properties": {"name": {"const": entry.name}, **own},
        "additionalProperties": False,
    }


def _option(option: Option, registry: Registry) -> Json:
    """The value of one key, with its documentation and default."""
    if option.section:
        value = _section(option.section, registry)
    elif option.kind:
        value = {"$ref": f"#/$defs/{option.kind}"}
        value = {"type": "array", "items": value} if option.many else value
    else:
        value = _plain(option)
    if option.optional and (option.section or option.kind):
        value = {"anyOf": [value, {"type": "null"}]}
    if option.info.description:
        value = {**value, "description": " ".join(option.info.description.split())}
    known, default = _default(option, registry)
    return {**value, "default": default} if known else value


def _plain(option: Option) -> Json:
    """A number, a text, a list of them, as pydantic says it; a text may be written as a number."""
    kinds = atoms(option.hint)
    if Every in kinds:
        text = ["string", "null"] if NoneType in kinds else "string"
        return {"type": text, "pattern": r"^\s*\d+ *(epoch|step|minute|second)s?\s*$"}
    with catch_warnings():
        simplefilter("ignore")  # an alias is the option's name here, and says nothing of the value
        value = TypeAdapter(cast("Any", option.hint)).json_schema()
    return _texts(value) if kinds <= {str, NoneType} else value


def _texts(value: Json) -> Json:
    """The same, where every text may also be a number, which YAML tells apart."""
    return {
        key: _texts(inner)
        if isinstance(inner, dict)
        else [_texts(part) if isinstance(part, dict) else part for part in inner]
        if isinstance(inner, list)
        else ["string", "number", "boolean"]
        if (key, inner) == ("type", "string")
        else inner
        for key, inner in value.items()
    }


def _default(option: Option, registry: Registry) -> tuple[bool, object]:
    """Whether there is a default that JSON can say, and the default."""
    if option.required or option.section:
        return False, None
    value = option.default
    if option.kind and value is not None and not isinstance(value, (str, list)):
        value = registry.brief(value, option.kind)
    value = str(value) if isinstance(value, (Every, Path)) else value
    try:
        return True, json.loads(json.dumps(value))
    except TypeError:
        return False, None
