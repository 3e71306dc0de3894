"""YAML 1.2 (core schema) as plain data in which every value knows where it was written.

PyYAML's parser follows YAML 1.1, where ``no`` is false, ``010`` is eight and ``1e-3`` is text. Only
its events are used here; what they mean is decided below. https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import yaml

MAX_NODES = 20_000
"""Values in one document after its aliases are written out: no recipe comes near."""
MAX_DEPTH = 50

_Parser: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"": None, "~": None, ".nan": float("nan"), ".inf": float("inf")}
_WORDS |= {"+.inf": float("inf"), "-.inf": float("-inf"), "null": None, "true": True}
_WORDS |= {"false": False}
_WORDS |= {spelt: v for w, v in _WORDS.items() for spelt in (w.upper(), w.title())}
_WORDS |= {".NaN": float("nan")}


class Origin(NamedTuple):
    """Where a value was written; lines and columns count from 1, 0 for what is not in a file."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Node:
    """A value: ``dict[str, Node]``, ``list[Node]`` or a scalar; ``keys`` are where its keys are."""

    value: Any
    origin: Origin
    keys: Mapping[str, Origin] = field(default_factory=dict)

    @property
    def plain(self) -> Any:
        """The value without origins."""
        if isinstance(self.value, dict):
            return {key: node.plain for key, node in self.value.items()}
        return [n.plain for n in self.value] if isinstance(self.value, list) else self.value

    @classmethod
    def of(cls, value: Any, origin: Origin) -> Node:
        """The reverse of ``plain``."""
        if isinstance(value, Mapping):
            return cls({k: cls.of(v, origin) for k, v in value.items()}, origin)
        items = [cls.of(v, origin) for v in value] if isinstance(value, (list, tuple)) else value
        return cls(items, origin)


@dataclass(frozen=True)
class Problem:
    """One line of an error message."""

    origin: Origin
    path: str
    message: str

    @property
    def in_override(self) -> bool:
        """Whether it is of a ``--set``, not of a file."""
        return self.origin.source.startswith("--set ")

    def __str__(self) -> str:
        return ": ".join(filter(None, (str(self.origin), self.path, self.message)))


def parse(
    text: str, source: str, problems: list[Problem], *, at: Origin | None = None
) -> Node | None:
    """The only document in ``text``; None where a problem left nothing to work with.

    ``at`` stands as the origin of all values, for text that comes from no file.
    """
    try:
        return _Composer(text, source, problems, at).document()
    except _Stop:
        pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        origin = at or Origin(source, *((mark.line + 1, mark.column + 1) if mark else (1, 1)))
        said = ", ".join(filter(None, (error.context, error.problem)))
        problems.append(Problem(origin, "", f"not YAML: {said}"))
    except (yaml.YAMLError, UnicodeError) as error:  # characters that no YAML may hold
        said = getattr(error, "reason", str(error))
        problems.append(
            Problem(at or Origin(source, *_bad_character(text)), "", f"not YAML: {said}")
        )
    return None


def scalar(text: str) -> Any:
    """What an unquoted text means. Raises ValueError for an integer too long to be one."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        # Python's base 0 refuses 010, which YAML 1.2 reads as ten.
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    return float(text) if _FLOAT.fullmatch(text) else text


def flow(value: Any) -> str:
    """A value on one line, in words that ``parse`` reads back as the same value."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(flow, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(value), repr(value))
    if not isinstance(value, str):
        return str(value)
    plain = re.fullmatch(r"[\w./+-]([\w./+ -]*[\w./+-])?", value, re.ASCII)
    if plain and not re.match(r"- |\.\.\.|---", value) and scalar(value) == value != "-":
        return value
    escaped = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
    return '"' + "".join(escaped) + '"'


class _Stop(Exception):
    """Nothing after this problem can be read."""


class _Composer:
    """Events to nodes. Writes aliases out and counts what that costs."""

    def __init__(self, text: str, source: str, problems: list[Problem], at: Origin | None) -> None:
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_Parser))
        self.problems = problems
        self.where: Callable[[Any], Origin] = lambda event: (
            at or Origin(source, event.start_mark.line + 1, event.start_mark.column + 1)
        )
        self.nodes = 0
        self.anchors: dict[str, tuple[Node, int] | None] = {}
        """Finished nodes with their cost; None while a node is being read."""

    def document(self) -> Node:
        next(self.events)  # the stream's start
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            return Node(None, self.where(start))
        root = self.node(next(self.events), ())
        next(self.events)
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            self.stop(after, (), "a second document; there may be only one")
        return root

    def node(self, event: Any, path: tuple[str, ...]) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, path)
        before, anchor = self.nodes, event.anchor
        self.spend(1, event, path)
        if len(path) > MAX_DEPTH:
            self.stop(event, path[:3], f"nested more than {MAX_DEPTH} deep")
        if event.tag is not None:
            self.problem(event, path, f"tag {event.tag!r}: a recipe is plain data, without tags")
        if anchor:
            self.anchors[anchor] = None
        made = self.content(event, path)
        if anchor:
            self.anchors[anchor] = (made, self.nodes - before)
        return made

    def content(self, event: Any, path: tuple[str, ...]) -> Node:
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(inner := next(self.events), yaml.SequenceEndEvent):
                items.append(self.node(inner, (*path, str(len(items)))))
            return Node(items, self.where(event))
        if not event.implicit[0]:  # quoted
            return Node(event.value, self.where(event))
        try:
            return Node(scalar(event.value), self.where(event))
        except ValueError:
            self.stop(event, path, f"a number of {len(event.value)} digits")

    def mapping(self, event: Any, path: tuple[str, ...]) -> Node:
        keys: dict[str, Origin] = {}
        made = Node({}, self.where(event), keys)
        while not isinstance(at := next(self.events), yaml.MappingEndEvent):
            key = self.node(at, path).value
            plain = isinstance(at, yaml.ScalarEvent) and at.implicit[0]
            value = self.node(next(self.events), (*path, str(key)))
            if not isinstance(key, str):
                shown = at.value if isinstance(at, yaml.ScalarEvent) else "a list or mapping"
                self.problem(at, path, f"key {shown}: keys are text; put it in quotes")
            elif plain and key == "<<":
                self.problem(at, path, "'<<' is not in YAML 1.2; a recipe inherits by 'extends'")
            elif key in made.value:
                self.problem(at, (*path, key), f"is given twice, first at {keys[key]}")
            else:
                made.value[key], keys[key] = value, self.where(at)
        return made

    def alias(self, event: Any, path: tuple[str, ...]) -> Node:
        if event.anchor not in self.anchors:
            self.stop(event, path, f"*{event.anchor}: no such anchor before it")
        if (found := self.anchors[event.anchor]) is None:
            self.stop(event, path, f"*{event.anchor} holds itself")
        self.spend(found[1], event, path)
        return found[0]

    def spend(self, cost: int, event: Any, path: tuple[str, ...]) -> None:
        self.nodes += cost
        if self.nodes > MAX_NODES:
            self.stop(event, path, f"more than {MAX_NODES} values, aliases written out")

    def problem(self, event: Any, path: tuple[str, ...], message: str) -> None:
        self.problems.append(Problem(self.where(event), ".".join(path), message))

    def stop(self, event: Any, path: tuple[str, ...], message: str) -> NoReturn:
        self.problem(event, path, message)
        raise _Stop


def _bad_character(text: str) -> tuple[int, int]:
    """Line and column of the first character that YAML forbids."""
    found = re.search(
        r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]", text
    )
    before = text[: found.start()] if found else ""
    return before.count("\n") + 1, len(before) - before.rfind("\n")
