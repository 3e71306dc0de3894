"""Runs the checks of a kind on a stage, with each of its option sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

from ..errors import InputError
from ..plugin.registry import Entry, Provider, Registry
from ..recipe.build import build_stage
from .report import ConformanceError, Finding, Report


class Wrong(Exception):
    """What a stage does wrong, in plain words for its author."""


DEFAULTS = "its defaults"
"""The label of a stage without other options."""


@dataclass(frozen=True)
class Variant:
    """A stage with one of its option sets."""

    stage: Any
    label: str
    """``eta=1.0``: the options that are not at their defaults."""


@dataclass
class Context:
    """What the checks of one stage share."""

    kind: str
    name: str
    cls: type
    registry: Registry
    """Knows the stage's class under ``name``, registered or not."""
    behaviour: Callable[[Any], Any]
    """What a stage does on small inputs: of the kind's module."""
    variants: list[Variant] = field(default_factory=list)
    """The given stage first, then one for each declared example."""
    unbuildable: list[str] = field(default_factory=list)
    """Problems of the examples that could not be built."""
    seen: dict[int, Any] = field(default_factory=dict)

    def shown(self, index: int) -> Any:
        """The behaviour of variant ``index``, found once."""
        if index not in self.seen:
            self.seen[index] = self.behaviour(self.variants[index].stage)
        return self.seen[index]

    @property
    def sets(self) -> str:
        """How many option sets there are, in words."""
        count = len(self.variants)
        return f"{count} option sets" if count > 1 else "its one option set"

    def place(self, variant: Variant) -> str:
        """The end of a message about it: with which options, if that is a question."""
        told = len(self.variants) > 1 or variant.label != DEFAULTS
        return f" (with {variant.label})" if told else ""

    def build(self, options: Mapping[str, Any]) -> Any:
        """The stage with these options, as a recipe would. Raises InputError."""
        return build_stage(self.registry, self.kind, {"name": self.name, **options})


Check = Callable[[Any, Context], str]
"""(stage, context) -> what was measured, "" where it does not apply; raises Wrong.

Runs on every variant. Its name is what the report calls it.
"""
ClassCheck = Callable[[Context], str]
"""The same, once for all variants."""


def check(kind: str, stage: Any, registry: Registry | None = None) -> Report:
    """Examine a stage. Raises ConformanceError if anything is wrong."""
    report = examine(kind, stage, registry)
    if not report.ok:
        raise ConformanceError(report)
    return report


def examine(
    kind: str,
    stage: Any,
    registry: Registry | None = None,
    *,
    only: Callable[[str], bool] = lambda name: True,
) -> Report:
    """Run all checks of a kind, or those whose name ``only`` takes, on a stage or its class."""
    from . import common, variants

    module = import_module(f"{__package__}.kinds.{kind}")
    context = variants.context(kind, stage, registry or Registry.load(), module.behaviour)
    own: Sequence[Check] = module.CHECKS
    findings = [_once(c, context) for c in common.CHECKS if only(words(c))]
    findings += [_on_each(c, context) for c in own if only(words(c))]
    return Report(kind, context.name, findings)


def words(function: Callable[..., Any]) -> str:
    """A check's name in the report: its function's, with spaces."""
    return function.__name__.strip("_").replace("_", " ")


def known(stage: Any, kind: str, registry: Registry) -> tuple[str, Registry]:
    """The name of a class, and a registry that has it; registered or not."""
    cls = stage if isinstance(stage, type) else type(stage)
    entry = registry.entry_of(cls, kind)
    if entry:
        return entry.name, registry
    name = f"{cls.__module__}:{cls.__qualname__}"
    added = Entry(kind, name, cls, Provider(cls.__module__))
    return name, Registry([*registry.found, added], registry.broken)


def _once(run: ClassCheck, context: Context) -> Finding:
    measured, problem = _outcome(partial(run, context))
    return Finding(words(run), measured, problem)


def _on_each(run: Check, context: Context) -> Finding:
    """One finding for all variants: it fails with the first that does."""
    told: dict[str, str] = {}
    for variant in context.variants:
        measured, problem = _outcome(partial(run, variant.stage, context))
        if problem is not None:
            return Finding(words(run), measured, problem + context.place(variant))
        if measured:
            told.setdefault(measured, variant.label)
    if len(told) == 1:
        return Finding(words(run), next(iter(told)))
    lines = [f"{label}: {measured}" for measured, label in told.items()]
    return Finding(words(run), "\n".join(lines) or "does not apply")


def _outcome(run: Callable[[], str]) -> tuple[str, str | None]:
    """What was measured, or what is wrong."""
    try:
        return run(), None
    except Wrong as wrong:
        return "", str(wrong)
    except InputError as error:
        return "", f"it refused: {error}"
    except Exception as error:  # a stage may fail in any way
        return "", f"it raised {type(error).__name__}: {' '.join(str(error).split())}"


def require(holds: bool, problem: str) -> None:
    """Raise Wrong with this problem unless it holds."""
    if not holds:
        raise Wrong(problem)


@contextmanager
def untouched(**inputs: Any) -> Iterator[None]:
    """Raise Wrong if a tensor (or nest of them) is another afterwards; by the name it has there."""
    from copy import deepcopy

    from .same import same

    before = deepcopy(inputs)
    yield
    for name, value in inputs.items():
        require(same(before[name], value), f"it changes {name} in place; work on a copy")
