"""Builds sections and stages from a tree of values, and collects every problem on the way."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError

from ..errors import InputError
from ..plugin.kinds import missing
from ..plugin.nearest import did_you_mean
from ..plugin.options import Option, atoms, options, options_within
from .complaints import complaints, join, shown
from .tree import Node, Origin, Problem, error_of

if TYPE_CHECKING:
    from ..plugin.registry import Entry, Registry

T = TypeVar("T")

FAILED: Final = object()
"""Stands for what could not be built; its problem is already told."""
_NOT_GIVEN: Final = object()
"""Stands for an option that is left to its class's default."""


@dataclass(frozen=True)
class Built:
    """A stage, or a section of the recipe, and what it was built from."""

    value: object
    node: Node
    """Its options as they were given."""
    kind: str | None
    """The kind of a stage; None for a section."""


class Builder:
    """Builds what a recipe asks for.

    A stage's name is looked up first, which imports nothing; then its class is imported to check
    the options.
    """

    def __init__(self, registry: Registry, problems: Sequence[Problem] = ()) -> None:
        self.registry = registry
        self.problems = list(problems)
        self.unread = any(p.path in ("", "extends") and not p.in_override for p in problems)
        """Part of the recipe could not be read: what seems to be missing may stand there."""
        self.built: dict[str, Built] = {}
        """Every stage and section by its path."""
        self.within: dict[str, Collection[str]] = {}
        """Options in the mapping of a stage that are not its own, by the stage's path."""
        self.homes: dict[str, str] = {}
        """Where these were given."""

    def report(self) -> None:
        """Raise InputError with one line for each problem, in the order of the file."""
        if self.problems:
            homes = self.homes
            raise error_of([replace(p, path=homes.get(p.path, p.path)) for p in self.problems])

    def problem(self, origin: Origin, path: str, message: str) -> object:
        """Keep a problem; returns FAILED."""
        self.problems.append(Problem(origin, path, message))
        return FAILED

    def section(self, cls: type, node: Node, path: str = "") -> object:
        """An instance of the engine's class from a mapping, or FAILED."""
        return self._keep(path, Built(self._instance(cls, node, path, "key"), node, None))

    def section_at(self, path: str, cls: type[T]) -> tuple[T, Node] | None:
        """The section that was built at a path, with its node; None where there is none."""
        built = self.built.get(path)
        return (built.value, built.node) if built and isinstance(built.value, cls) else None

    def stage(self, kind: str, node: Node, path: str, default: str | None = None) -> object:
        """A stage from a name or from a mapping with a name, or FAILED.

        ``default`` is the name that a mapping without one stands for.
        """
        if is_dataclass(node.value):
            return node.value  # made in Python
        given, name = _named(node, default)
        if not isinstance(name.value, str):
            message = f"should be the name of a {kind}, or a mapping with its name and options"
            message += f", got {shown(node.value)}. There are: {self._names(kind)}"
            return self.problem(name.origin, path, message)
        try:
            entry = self.registry.find(kind, name.value)
            cls = entry.load()
        except InputError as error:
            return self.problem(name.origin, path, str(error))
        for option in options(cls).keys() & set(self.within.get(path, ())):
            message = f"{kind} {name.value!r} has an option {option}, which is the engine's own"
            return self.problem(name.origin, path, f"{message}: its author must rename it")
        stage = self._instance(cls, given, path, f"option of {kind} {name.value!r}")
        if stage is not FAILED and (message := _lacks(entry, stage)):
            return self.problem(name.origin, path, message)
        return self._keep(path, Built(stage, given, kind))

    def _keep(self, path: str, built: Built) -> object:
        if built.value is not FAILED:
            self.built[path] = built
        return built.value

    def _names(self, kind: str) -> str:
        return ", ".join(dict.fromkeys(e.name for e in self.registry.entries(kind)))

    def _instance(self, cls: type, node: Node, path: str, what: str) -> object:
        """An instance of the class with the options of a mapping, or FAILED."""
        known, here = options(cls), self.within.get(path, ())
        for key in node.mapping:
            if key not in known and key not in here:
                self._unknown(key, [*known, *here], node, path, what)
        for name, within in options_within(cls).items():
            node = self._lifted(within, node, name, path)
            known |= within
        values = {n: self._option(o, node, join(path, n)) for n, o in known.items()}
        values = {n: v for n, v in values.items() if v is not _NOT_GIVEN}
        return self._construct(cls, known, values, node, path)

    def _lifted(self, within: Collection[str], node: Node, name: str, path: str) -> Node:
        """A mapping with the options ``within`` the mapping ``name`` beside that."""
        inner = join(path, name)
        self.within[inner] = within
        given = node.mapping[name].mapping if name in node.mapping else {}
        lifted = {option: given[option] for option in within if option in given}
        self.homes |= {join(path, option): join(inner, option) for option in lifted}
        return Node({**node.mapping, **lifted}, node.origin, node.keys) if lifted else node

    def _unknown(self, key: str, known: list[str], node: Node, path: str, what: str) -> None:
        there = f"There are: {', '.join(known)}" if known else "It has none"
        self.problem(
            node.keys.get(key, node.mapping[key].origin),
            join(path, key),
            f"no {what} is called {key!r}{did_you_mean(key, known) or '.'} {there}",
        )

    def _option(self, option: Option, parent: Node, path: str) -> object:
        node = parent.mapping.get(option.name)
        if node is None:
            return self._absent(option, parent, path)
        if node.value is None and option.optional:
            return None
        if option.marker:
            return self._stages(option, option.marker.kind, node, path)
        if option.section:
            if isinstance(node.value, dict):
                return self.section(option.section, node, path)
            return self.problem(node.origin, path, f"should be a mapping, got {shown(node.value)}")
        return self._value(option, node, path)

    def _absent(self, option: Option, parent: Node, path: str) -> object:
        marker = option.marker
        if marker and marker.default and not option.optional:
            return self.stage(marker.kind, Node(option.default, parent.origin), path)
        if option.section and option.info.is_required():
            return self.section(option.section, Node({}, parent.origin), path)
        if not option.required:
            return _NOT_GIVEN
        if self.unread:
            return FAILED
        there = f". There are: {self._names(marker.kind)}" if marker else ""
        return self.problem(parent.origin, path, f"is missing; give it as {option.text}{there}")

    def _stages(self, option: Option, kind: str, node: Node, path: str) -> object:
        if not option.many:
            return self.stage(kind, node, path, self._default_name(option))
        if not isinstance(node.value, list):
            got = shown(node.value)
            message = f"should be a list of {kind} stages, got {got}; write it as [{got}]"
            return self.problem(node.origin, path, message)
        stages = [self.stage(kind, item, join(path, str(i))) for i, item in enumerate(node.items)]
        return FAILED if FAILED in stages else stages

    def _default_name(self, option: Option) -> str | None:
        """The name that a mapping of options without one stands for."""
        if isinstance(option.default, str) or option.default is None:
            return option.default
        entry = self.registry.entry_of(type(option.default), option.kind)
        return entry.name if entry else None

    def _value(self, option: Option, node: Node, path: str) -> object:
        """A plain value; pydantic checks the rest. YAML has types: text is no number here."""
        kinds = atoms(option.hint)
        if kinds <= {str, NoneType} and node.value is not None:
            return node.texts
        if Path in kinds and isinstance(node.value, str):
            return os.path.expanduser(node.texts)
        if not kinds <= {int, float, bool, NoneType}:
            return node.plain
        wrong = [(at, leaf) for at, leaf in _leaves(node, path) if not _has_type(leaf.value, kinds)]
        for at, leaf in wrong:
            self.problem(leaf.origin, at, f"should be {option.text}, got {shown(leaf.value)}")
        return FAILED if wrong else node.plain

    def _construct(
        self, cls: type, known: dict[str, Option], values: dict[str, object], node: Node, path: str
    ) -> object:
        """Call the class; its complaints about values that FAILED are no news."""
        failed = {name for name, value in values.items() if value is FAILED}
        try:
            instance = cls(**values)
        except ValidationError as error:
            self.problems += complaints(error, known, failed, node, path)
            return FAILED
        except InputError as error:
            return self.problem(node.origin, path, str(error))
        return FAILED if failed else instance


def build_stage(registry: Registry, kind: str, spec: object, said: str = "given") -> Any:
    """A stage from its name or ``{"name": …, **options}``. Raises InputError.

    ``said`` is where the user gave it, such as ``--sampler``.
    """
    builder = Builder(registry)
    stage = builder.stage(kind, Node.of(spec, Origin(said)), kind)
    builder.report()
    return stage


def _lacks(entry: Entry, stage: object) -> str:
    """What is wrong with a stage that does not have every member of its kind's contract."""
    lacking = missing(entry.kind, stage)
    if not lacking:
        return ""
    said = f"{entry.kind} {entry.name!r} of {entry.provider}"
    return f"{said} lacks {', '.join(lacking)}: see docs/plugins.md"


def _named(node: Node, default: str | None) -> tuple[Node, Node]:
    """A stage's options and its name."""
    if not isinstance(node.value, dict):
        return Node({}, node.origin), node
    rest = {key: value for key, value in node.mapping.items() if key != "name"}
    name = node.mapping.get("name", Node(default, node.origin))
    return Node(rest, node.origin, node.keys), name


def _leaves(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    """The values of a list, and of the lists in it, with their paths."""
    if isinstance(node.value, list):
        for index, item in enumerate(node.items):
            yield from _leaves(item, join(path, str(index)))
    else:
        yield path, node


def _has_type(value: object, kinds: set[object]) -> bool:
    """Whether a value's type is one of the numbers and booleans allowed; null is pydantic's."""
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, (int, float)):
        return bool(kinds & {int, float})
    return not isinstance(value, str)
