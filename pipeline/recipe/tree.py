"""A tree of values, each of which knows where it was written, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import InputError


class Origin(NamedTuple):
    """Where a value was written; lines and columns count from 1, 0 for what is not in a file."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Node:
    """A value and where it was written."""

    value: object
    """``dict[str, Node]``, ``list[Node]``, a scalar, or a stage that was made in Python."""
    origin: Origin
    keys: Mapping[str, Origin] = field(default_factory=dict)
    """Where the keys of a mapping were written."""
    written: str | None = None
    """The text of a scalar as it stands in the file, where it was not quoted."""

    @property
    def mapping(self) -> dict[str, Node]:
        """The values of a mapping by key; empty where the value is something else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The values of a list; empty where the value is something else."""
        return self.value if isinstance(self.value, list) else []

    @property
    def plain(self) -> Any:
        """The value without origins: plain data."""
        if isinstance(self.value, dict):
            return {key: node.plain for key, node in self.mapping.items()}
        return [n.plain for n in self.items] if isinstance(self.value, list) else self.value

    @property
    def texts(self) -> Any:
        """As ``plain``, but what was written without quotes counts as its text: 07 is "07"."""
        if isinstance(self.value, list):
            return [node.texts for node in self.items]
        return self.plain if self.written is None else self.written

    @classmethod
    def of(cls, plain: object, origin: Origin) -> Node:
        """The reverse of ``plain``: all values have the same origin."""
        if isinstance(plain, Mapping):
            return cls({k: cls.of(v, origin) for k, v in plain.items()}, origin)
        items = [cls.of(v, origin) for v in plain] if isinstance(plain, (list, tuple)) else plain
        return cls(items, origin)


@dataclass(frozen=True)
class Problem:
    """One line of an error message."""

    origin: Origin
    path: str
    message: str

    @property
    def in_override(self) -> bool:
        """Whether a ``--set`` is wrong, not a file."""
        return self.origin.source.startswith("--set ")

    def __str__(self) -> str:
        path = "" if self.origin.source == f"--{self.path}" else self.path  # told once
        return ": ".join(filter(None, (str(self.origin), path, self.message)))


def error_of(problems: Sequence[Problem]) -> InputError:
    """An error with one line for each problem, in the order of the file.

    What is in no file comes first, in the order in which it was found.
    """

    def position(problem: Problem) -> tuple[str, int, int]:
        source, line, column = problem.origin
        return source if line else "", line, column

    return InputError("\n".join(dict.fromkeys(map(str, sorted(problems, key=position)))))
