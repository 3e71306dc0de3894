"""Reads YAML 1.2 (core schema) as a tree of values, and writes values on one line.

PyYAML's parser follows YAML 1.1, where ``no`` is false, ``010`` is eight and ``1e-3`` is text. Only
its events are used here; what they mean is decided below. https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NoReturn

import yaml

from .tree import Node, Origin, Problem

Scalar = str | int | float | bool | None
"""A value that holds no other values."""

MAX_NODES = 20_000
"""Values in one document after its aliases are written out: no recipe comes near."""
MAX_DEPTH = 50
"""Levels of values within values."""

_Parser: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_BYTES = {0xDC00 + byte: 0x10FC00 + byte for byte in range(0x80, 0x100)}
"""Python's characters for bytes of a file name that are no UTF-8, which YAML may not hold, and
characters for private use, which stand for them while they are parsed."""
_BACK = {private: character for character, private in _BYTES.items()}
_ESCAPED = re.compile(r"\\(u|U0000)dc[89a-f][0-9a-f]", re.IGNORECASE)
"""How ``flow`` writes them."""

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Scalar] = {"": None, "~": None, ".nan": float("nan"), ".inf": float("inf")}
_WORDS |= {"+.inf": float("inf"), "-.inf": float("-inf"), "null": None, "true": True}
_WORDS |= {"false": False}
_WORDS |= {spelt: v for w, v in _WORDS.items() for spelt in (w.upper(), w.title())}
_WORDS |= {".NaN": float("nan")}


def parse(
    text: str, source: str, problems: list[Problem], *, at: Origin | None = None
) -> Node | None:
    """The only document in ``text``; None where a problem left nothing to work with.

    ``at`` stands as the origin of all values, for text that comes from no file.
    """
    try:
        hidden = text.translate(_BYTES)
        node = _Composer(hidden, source, problems, at, restored=hidden != text).document()
        if at and (comment := _after_the_end(hidden)):
            message = f"{comment!r} would be a comment; put the value in quotes"
            problems.append(Problem(at, "", message))
        return node
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


def scalar(text: str) -> Scalar:
    """The meaning of an unquoted text. Raises ValueError for an integer too long to be one."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        # Python's base 0 refuses 010, which YAML 1.2 reads as ten.
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    return float(text) if _FLOAT.fullmatch(text) else text


def flow(value: object) -> str:
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
    """Makes nodes of events. Writes aliases out and counts what that costs."""

    def __init__(
        self, text: str, source: str, problems: list[Problem], at: Origin | None, restored: bool
    ) -> None:
        """``restored``: characters that ``_BYTES`` hid become what they were."""
        # PyYAML's parser in C refuses these escapes.
        parser = yaml.SafeLoader if _ESCAPED.search(text) else _Parser
        events: Iterator[yaml.Event] = iter(yaml.parse(text, Loader=parser))
        self.events = map(_restored, events) if restored else events
        self.source = source
        self.problems = problems
        self.at = at
        self.nodes = 0
        self.anchors: dict[str | None, tuple[Node, int] | None] = {}
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

    def node(self, event: yaml.Event, path: tuple[str, ...]) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, path)
        assert isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent))
        before, anchor = self.nodes, event.anchor
        self.spend(1, event, path)
        if len(path) > MAX_DEPTH:
            self.stop(event, path[:3], f"nested more than {MAX_DEPTH} deep")
        if event.tag is not None:
            self.problem(event, path, f"tag {event.tag!r}: a recipe is plain data, without tags")
        if anchor:
            self.anchors[anchor] = None
        node = self.content(event, path)
        if anchor:
            self.anchors[anchor] = (node, self.nodes - before)
        return node

    def content(
        self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, path: tuple[str, ...]
    ) -> Node:
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(event, path)
        if not isinstance(event, yaml.ScalarEvent):
            return self.sequence(event, path)
        if not event.implicit[0]:  # quoted
            return Node(event.value, self.where(event))
        try:
            return Node(scalar(event.value), self.where(event), written=event.value)
        except ValueError:
            self.stop(event, path, f"a number of {len(event.value)} digits")

    def sequence(self, event: yaml.Event, path: tuple[str, ...]) -> Node:
        items: list[Node] = []
        while not isinstance(inner := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(inner, (*path, str(len(items)))))
        return Node(items, self.where(event))

    def mapping(self, event: yaml.Event, path: tuple[str, ...]) -> Node:
        values: dict[str, Node] = {}
        keys: dict[str, Origin] = {}
        while not isinstance(at := next(self.events), yaml.MappingEndEvent):
            key = self.node(at, (*path, "?")).value  # keys may be nested, too deeply as well
            plain = isinstance(at, yaml.ScalarEvent) and at.implicit[0]
            value = self.node(next(self.events), (*path, str(key)))
            if not isinstance(key, str):
                shown = at.value if isinstance(at, yaml.ScalarEvent) else "a list or mapping"
                self.problem(at, path, f"key {shown}: keys are text; put it in quotes")
            elif plain and key == "<<":
                self.problem(at, path, "'<<' is not in YAML 1.2; a recipe inherits by 'extends'")
            elif key in values:
                self.problem(at, (*path, key), f"is given twice, first at {keys[key]}")
            else:
                values[key], keys[key] = value, self.where(at)
        return Node(values, self.where(event), keys)

    def alias(self, event: yaml.AliasEvent, path: tuple[str, ...]) -> Node:
        if event.anchor not in self.anchors:
            self.stop(event, path, f"*{event.anchor}: no such anchor before it")
        if (anchored := self.anchors[event.anchor]) is None:
            self.stop(event, path, f"*{event.anchor} holds itself")
        node, cost = anchored
        self.spend(cost, event, path)
        return node

    def spend(self, cost: int, event: yaml.Event, path: tuple[str, ...]) -> None:
        self.nodes += cost
        if self.nodes > MAX_NODES:
            self.stop(event, path, f"more than {MAX_NODES} values, aliases written out")

    def problem(self, event: yaml.Event, path: tuple[str, ...], message: str) -> None:
        self.problems.append(Problem(self.where(event), ".".join(path), message))

    def stop(self, event: yaml.Event, path: tuple[str, ...], message: str) -> NoReturn:
        self.problem(event, path, message)
        raise _Stop

    def where(self, event: yaml.Event) -> Origin:
        mark = event.start_mark
        assert mark is not None  # PyYAML's parsers always set it
        return self.at or Origin(self.source, mark.line + 1, mark.column + 1)


def _restored(event: yaml.Event) -> yaml.Event:
    if isinstance(event, yaml.ScalarEvent):
        event.value = event.value.translate(_BACK)
    return event


def _after_the_end(text: str) -> str:
    """What YAML passes over after the last value: a comment."""
    tokens = list(yaml.scan(text, Loader=_Parser))
    end = max((t.end_mark.index for t in tokens[:-1]), default=0)
    return text[end:].strip()


def _bad_character(text: str) -> tuple[int, int]:
    """Line and column of the first character that YAML forbids."""
    bad = re.search(
        r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]", text
    )
    before = text[: bad.start()] if bad else ""
    return before.count("\n") + 1, len(before) - before.rfind("\n")
