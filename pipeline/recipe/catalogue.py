"""What is installed, for people: the tables of ``pipeline plugins``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from inspect import cleandoc
from pathlib import Path

from ..format import table
from ..plugin.options import Option, is_stage_class, options, options_within
from ..plugin.registry import Registry
from ..records import Plain
from .yaml12 import flow


def plugins(kind: str = "", name: str = "", *, plugins: Sequence[Path] = ()) -> str:
    """What can be named in a recipe: a table of all stages, or one stage's documentation.

    kind, name: the stage to describe, such as ``sampler`` and ``ddim``; without them, all are
        listed with their packages, and what is broken or ambiguous with its reason.
    plugins: files with stages, beside the packages that are installed.

    Raises InputError, with what there is instead, for a stage that is not installed.
    """
    registry = Registry.load(plugins)
    return describe_stage(registry, kind, name) if kind else plugins_table(registry)


def plugins_table(registry: Registry) -> str:
    """Every stage with its kind, package and version; then what is ambiguous or broken, and why."""
    count = Counter((e.kind, e.name) for e in registry.found)
    rows = [("KIND", "NAME", "PACKAGE", "DISTRIBUTION", "")]
    for entry in registry.entries():
        p = entry.provider
        mark = "ambiguous" if count[entry.kind, entry.name] > 1 else ""
        rows.append(
            (entry.kind, entry.name, p.package, f"{p.distribution or '-'} {p.version or ''}", mark)
        )
    broken = [f"broken: {b.provider}: {b.reason}" for b in registry.broken]
    slow = [
        f"slow: {provider} took {seconds:.1f} s to import: give its stages as 'module:Class'"
        for provider, seconds in registry.slow.items()
    ]
    return "\n".join([*table(rows), *broken, *slow])


def plugins_data(registry: Registry) -> Plain:
    """The same as plain data."""
    return {
        "stages": [
            {"kind": e.kind, "name": e.name, **asdict(e.provider)} for e in registry.entries()
        ],
        "broken": [{**asdict(b.provider), "reason": b.reason} for b in registry.broken],
        "slow": [{**asdict(p), "seconds": seconds} for p, seconds in registry.slow.items()],
    }


def stage_data(registry: Registry, kind: str, name: str) -> Plain:
    """What ``describe_stage`` tells, as plain data."""
    from .jsonschema import stage_schema  # here, because the list of all stages needs no pydantic

    entry = registry.find(kind, name)
    return {"kind": kind, "name": name, **asdict(entry.provider), **stage_schema(entry, registry)}


def describe_stage(registry: Registry, kind: str, name: str) -> str:
    """A stage's docstrings, its options and where it comes from. Raises InputError."""
    from .schema import Recipe  # here, because the list of all stages needs no pydantic

    entry = registry.find(kind, name)
    cls = entry.load()
    docs = [cleandoc(owner.__doc__ or "") for owner in (sys.modules[cls.__module__], cls)]
    parts = []
    shared = options_within(Recipe).get(kind, {})
    for option in [*options(cls).values(), *shared.values()]:
        parts.append(f"  {option.name}: {option.text}{_default(registry, option)}")
        parts += [f"      {line}" for line in (option.info.description or "").splitlines()]
    parts = ["Options:", *parts] if parts else ["It has no options."]
    head = [f"{kind} {name}, from {entry.provider}", *filter(None, docs)]
    return "\n\n".join([*head, "\n".join(parts)])


def _default(registry: Registry, option: Option) -> str:
    if option.required:
        return ", required"
    return f", default {flow(_plain(registry, option.default, option.kind))}"


def _plain(registry: Registry, value: object, kind: str | None) -> object:
    if isinstance(value, (list, tuple)):
        return [_plain(registry, item, kind) for item in value]
    if is_stage_class(type(value)):
        return registry.name_of(value, kind)
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
