"""From a tree of values to sections and stages, collecting every problem on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from difflib import get_close_matches
from types import NoneType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ..errors import InputError
from ..plugin.options import Option, atoms, options
from .yaml12 import Node, Origin, Problem, flow

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from ..plugin.registry import Registry

FAILED: Any = object()
"""Stands for what could not be made; its problem is already told."""
_ABSENT: Any = object()


class Builder:
    """Makes what a recipe asks for."""

    def __init__(self, registry: Registry, problems: Sequence[Problem] = ()) -> None:
        self.registry = registry
        self.problems = list(problems)
        self.unread = any(p.path in ("", "extends") and not p.in_override for p in problems)
        """Part of the recipe could not be read: what seems to be missing may stand there."""
        self.made: dict[str, tuple[Any, Node]] = {}
        """Every stage and section by its path, with the node it was made from."""

    def report(self) -> None:
        """Raise InputError with one line for each problem, in the order of the file."""
        if self.problems:
            lines = dict.fromkeys(map(str, sorted(self.problems, key=_place)))
            raise InputError("\n".join(lines))

    def problem(self, origin: Origin, path: str, message: str) -> Any:
        """Keep a problem; returns FAILED."""
        self.problems.append(Problem(origin, path, message))
        return FAILED

    def section(self, cls: type, node: Node, path: str = "") -> Any:
        """An instance of the engine's class from a mapping, or FAILED."""
        return self._make(cls, node, path, "key")

    def stage(self, kind: str, node: Node, path: str, default: str | None = None) -> Any:
        """A stage from a name or from a mapping with a name, or FAILED."""
        if is_dataclass(node.value):
            return node.value  # made in Python
        given, name = _named(node, default)
        if not isinstance(name.value, str):
            there = ", ".join(dict.fromkeys(e.name for e in self.registry.entries(kind)))
            message = f"should be the name of a {kind}, or a mapping with its name and options"
            return self.problem(
                name.origin, path, f"{message}, got {_got(node.value)}. There are: {there}"
            )
        try:
            entry = self.registry.find(kind, name.value)
        except InputError as error:
            return self.problem(name.origin, path, str(error))
        try:
            cls = entry.load()
        except InputError as error:
            return self.problem(name.origin, path, str(error))
        return self._make(cls, given, path, f"option of {kind} {name.value!r}")

    def _make(self, cls: type, node: Node, path: str, what: str) -> Any:
        known = options(cls)
        for key in node.value:
            if key not in known:
                self._unknown(key, list(known), node, path, what)
        values = {n: self._option(o, node, _join(path, n)) for n, o in known.items()}
        values = {n: v for n, v in values.items() if v is not _ABSENT}
        made = self._construct(cls, known, values, node, path)
        if made is not FAILED:
            self.made[path] = made, node
        return made

    def _unknown(self, key: str, known: list[str], node: Node, path: str, what: str) -> None:
        near = get_close_matches(key, known, 1)
        meant = f"; did you mean {near[0]!r}?" if near else "."
        there = f"There are: {', '.join(known)}" if known else "It has none"
        self.problem(
            node.keys.get(key, node.value[key].origin),
            _join(path, key),
            f"no {what} is called {key!r}{meant} {there}",
        )

    def _option(self, option: Option, parent: Node, path: str) -> Any:
        node = parent.value.get(option.name)
        if node is None:
            return self._absent(option, parent, path)
        if node.value is None and option.optional:
            return None
        if option.marker:
            return self._stages(option, node, path)
        if option.section:
            if isinstance(node.value, dict):
                return self.section(option.section, node, path)
            return self.problem(node.origin, path, f"should be a mapping, got {_got(node.value)}")
        return self._value(option, node, path)

    def _absent(self, option: Option, parent: Node, path: str) -> Any:
        if option.marker and option.marker.default and not option.optional:
            return self.stage(option.marker.kind, Node(option.default, parent.origin), path)
        if option.section and option.info.is_required():
            return self.section(option.section, Node({}, parent.origin), path)
        if not option.required:
            return _ABSENT
        if self.unread:
            return FAILED
        there = ""
        if option.marker:
            names = dict.fromkeys(e.name for e in self.registry.entries(option.marker.kind))
            there = f". There are: {', '.join(names)}"
        message = f"is missing; give it as {option.text}{there}"
        return self.problem(parent.origin, path, message)

    def _stages(self, option: Option, node: Node, path: str) -> Any:
        assert option.marker
        kind = option.marker.kind
        if not option.many:
            return self.stage(kind, node, path, self._default_name(option))
        if not isinstance(node.value, list):
            got = _got(node.value)
            message = f"should be a list of {kind} stages, got {got}; write it as [{got}]"
            return self.problem(node.origin, path, message)
        made = [self.stage(kind, item, _join(path, str(i))) for i, item in enumerate(node.value)]
        return FAILED if FAILED in made else made

    def _default_name(self, option: Option) -> str | None:
        """What a mapping of options without a name means."""
        if isinstance(option.default, str) or option.default is None:
            return option.default
        entry = self.registry.entry_of(type(option.default), option.kind)
        return entry.name if entry else None

    def _value(self, option: Option, node: Node, path: str) -> Any:
        """A plain value; pydantic checks the rest. YAML has types: text is no number here."""
        kinds = atoms(option.hint)
        if not kinds <= {int, float, bool, NoneType}:
            return node.plain
        wrong = [
            (place, leaf)
            for place, leaf in _leaves(node, path)
            if (isinstance(leaf.value, str))
            or (isinstance(leaf.value, bool) and bool not in kinds)
            or (isinstance(leaf.value, (int, float)) and not kinds & {int, float, type(leaf.value)})
        ]
        for place, leaf in wrong:
            message = f"should be {option.text}, got {_got(leaf.value)}"
            self.problem(leaf.origin, place, message)
        return FAILED if wrong else node.plain

    def _construct(
        self,
        cls: type,
        known: dict[str, Option],
        values: dict[str, Any],
        node: Node,
        path: str,
    ) -> Any:
        """Call the class; its complaints about values that FAILED are no news."""
        failed = {name for name, value in values.items() if value is FAILED}
        try:
            made = cls(**values)
        except ValidationError as error:
            told: dict[tuple[Origin, str], list[str]] = {}
            details = error.errors(include_url=False)
            inner = {detail["loc"][:-1] for detail in details if detail["loc"]}
            for detail in details:
                loc = detail["loc"]
                # Of a list without its wrong items pydantic may also say that it is too short.
                if not loc or (loc[0] not in failed and loc not in inner):
                    at, place = _locate(node, path, loc)
                    told.setdefault((at.origin, place), []).append(_reworded(detail, known))
            for (origin, place), messages in told.items():
                self.problem(origin, place, " or ".join(dict.fromkeys(messages)))
            return FAILED
        except InputError as error:
            return self.problem(node.origin, path, str(error))
        return FAILED if failed else made


def build_stage(registry: Registry, kind: str, spec: Any, said: str = "given") -> Any:
    """A stage from its name or ``{"name": …, **options}``. Raises InputError.

    ``said`` is where the user gave it, such as ``--sampler``.
    """
    builder = Builder(registry)
    made = builder.stage(kind, Node.of(spec, Origin(said)), kind)
    builder.report()
    return made


def _place(problem: Problem) -> tuple[str, int, int]:
    """What is in no file comes first, in the order it was found."""
    source, line, column = problem.origin
    return source if line else "", line, column


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _named(node: Node, default: str | None) -> tuple[Node, Node]:
    """A stage's options and its name."""
    if not isinstance(node.value, dict):
        return Node({}, node.origin), node
    rest = {key: value for key, value in node.value.items() if key != "name"}
    name = node.value.get("name", Node(default, node.origin))
    return Node(rest, node.origin, node.keys), name


def _leaves(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    if isinstance(node.value, list):
        for index, item in enumerate(node.value):
            yield from _leaves(item, _join(path, str(index)))
    else:
        yield path, node


def _locate(node: Node, path: str, loc: tuple[int | str, ...]) -> tuple[Node, str]:
    """The innermost value that was given, of a place in pydantic's words."""
    for step in loc:
        inside = node.value
        there = range(len(inside)) if isinstance(inside, list) else inside
        if not isinstance(inside, (dict, list)) or step not in there:
            break
        node = inside[step]  # type: ignore[index]
        path = _join(path, str(step))
    return node, path


_EXPECTED = {"int": "a whole number", "float": "a number", "bool": "true or false"}
_EXPECTED |= {"string": "text", "list": "a list", "tuple": "a list", "dict": "a mapping"}


def _reworded(detail: ErrorDetails, known: dict[str, Option]) -> str:
    """pydantic's complaint in words for someone who writes YAML."""
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
        words = detail["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        near = get_close_matches(str(detail["input"]), words, 1)
        message += f" (did you mean {near[0]!r}?)" if near else ""
    return re.sub(r"^\w+ should", "should", message) + f", got {_got(_noded(detail['input']))}"


def _noded(plain: Any) -> Any:
    """What pydantic was given, as a Node holds it."""
    return Node.of(plain, Origin("")).value


def _got(value: Any) -> str:
    """A value as the user wrote it, cut where it is long."""
    if value is None:
        return "nothing"
    plain = Node(value, Origin("")).plain if isinstance(value, (dict, list)) else value
    text = flow(plain) if isinstance(plain, (dict, list, bool, float, int)) else repr(plain)
    return text if len(text) <= 60 else text[:57] + "..."
