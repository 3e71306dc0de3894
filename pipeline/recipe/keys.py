"""Every key that a recipe may have: ``pipeline show --keys``, and docs/recipe.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import InputError
from ..plugin.every import Every
from ..plugin.nearest import did_you_mean
from ..plugin.options import Option, options, options_within
from .complaints import join
from .schema import Recipe
from .yaml12 import flow


@dataclass(frozen=True)
class Key:
    """A key of a recipe, with what its value is."""

    path: str
    """``train.ema.decay``."""
    type: str
    """In words: ``int >= 1``, ``sampler stage``."""
    default: str
    """As a recipe writes it; "" where the key must be given, or has keys of its own."""
    doc: str


def recipe_keys(section: str = "") -> list[Key]:
    """All keys in the order of the recipe, or those of one section, such as ``train``.

    Options of stages are not among them: ``pipeline plugins show KIND NAME`` has those. Raises
    InputError for a section that does not exist.
    """
    found = list(_keys(Recipe, ""))
    within = [key for key in found if not section or f"{key.path}.".startswith(f"{section}.")]
    if not within:
        paths = [key.path for key in found]
        meant = did_you_mean(section, paths) or "."
        raise InputError(f"--keys {section}: a recipe has no such key{meant} See --keys alone")
    return within


def keys_as_text(section: str = "") -> str:
    """The keys, two lines or more each: what the value is, and what it does."""
    lines = []
    for key in recipe_keys(section):
        default = f", default {key.default}" if key.default else ""
        lines += [f"{key.path}: {key.type}{default}", *(f"    {line}" for line in _lines(key.doc))]
    return "\n".join(lines)


def keys_as_markdown() -> str:
    """The keys as docs/recipe.md has them: a table for each section."""
    sections: dict[str, list[str]] = {}
    for key in recipe_keys():
        above, _, last = key.path.rpartition(".")
        cells = key.type, key.default or "-", " ".join(_lines(key.doc)).replace("``", "`")
        told = " | ".join(cell.replace("|", "\\|") for cell in cells)
        sections.setdefault(above, []).append(f"| `{last}` | {told} |")
    head = ["| key | value | default | |", "| --- | --- | --- | --- |"]
    tables = [
        "\n".join([f"## {name or 'The recipe'}\n", *head, *t]) for name, t in sections.items()
    ]
    return "\n\n".join(tables) + "\n"


def _keys(cls: type, path: str) -> Iterator[Key]:
    """The keys of a section; those of the sections in it come after its own."""
    inner: list[tuple[type, str]] = []
    for name, option in options(cls).items():
        yield _key(option, join(path, name))
        if option.section:
            inner.append((option.section, join(path, name)))
        for within, own in options_within(cls).get(name, {}).items():
            yield _key(own, join(join(path, name), within))
    for section, where in inner:
        yield from _keys(section, where)


def _key(option: Option, path: str) -> Key:
    default = (
        "" if option.required or (option.section and not option.optional) else _default(option)
    )
    text = "a mapping, see below" if option.section else option.text
    return Key(path, text, default, option.info.description or "")


def _default(option: Option) -> str:
    """A default as a recipe writes it."""
    value = option.default
    if isinstance(value, tuple):
        value = list(value)
    return flow(str(value) if isinstance(value, Every) else value)


def _lines(doc: str) -> list[str]:
    return [line.strip() for line in doc.strip().splitlines()]
