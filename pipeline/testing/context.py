"""What every check works with: the stage in its option sets, and how a fault is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..plugin.registry import Registry
from ..recipe.build import build_stage

T = TypeVar("T")

DEFAULTS = "its defaults"
"""The label of a stage without other options."""

Behaviour = Callable[[Any], Any]
"""behaviour(stage): what a stage does on small inputs, as tensors and plain values to compare."""


class Wrong(Exception):
    """What a stage does wrong, in plain words for its author."""


def require(holds: bool, problem: str) -> None:
    """Raise Wrong with this problem unless it holds."""
    if not holds:
        raise Wrong(problem)


@dataclass(frozen=True)
class Variant:
    """A stage with one of its option sets."""

    stage: Any
    label: str
    """The options that are not at their defaults: ``eta=1.0``."""


@dataclass
class Context:
    """What the checks of one stage share."""

    kind: str
    name: str
    cls: type
    registry: Registry
    """Knows the stage's class under ``name``, even if no plugin registers it."""
    behaviour: Behaviour
    """Comes from the kind's module."""
    variants: list[Variant] = field(default_factory=list)
    """The given stage first, then one for each declared option set."""
    unbuildable: list[str] = field(default_factory=list)
    """Problems of the declared option sets that could not be built."""
    changed_settings: Callable[[], str] = str
    """Names the settings of the process that changed since the checks began; "" if none did."""
    _known: dict[object, Any] = field(default_factory=dict)

    def once(self, key: object, compute: Callable[[], T]) -> T:
        """What ``compute`` returned when it was first called for this key."""
        if key not in self._known:
            self._known[key] = compute()
        value: T = self._known[key]
        return value

    def observed(self, index: int) -> Any:
        """The behaviour of variant ``index``; computed once."""
        return self.once(index, lambda: self.behaviour(self.variants[index].stage))

    def index_of(self, stage: object) -> int:
        """Which variant this very stage is."""
        return next(i for i, variant in enumerate(self.variants) if variant.stage is stage)

    @property
    def sets(self) -> str:
        """How many option sets there are, in words."""
        count = len(self.variants)
        return f"{count} option sets" if count > 1 else "its one option set"

    def with_options(self, variant: Variant) -> str:
        """The end of a message: with which options it happened, if there is more than one set."""
        told = len(self.variants) > 1 or variant.label != DEFAULTS
        return f" (with {variant.label})" if told else ""

    def build(self, options: Mapping[str, Any]) -> Any:
        """The stage with these options, as a recipe would make it. Raises InputError."""
        return build_stage(self.registry, self.kind, {"name": self.name, **options})


Check = Callable[[Any, Context], str]
"""check(stage, context): tries one thing on one variant; runs on every variant.

Returns what was measured, "" where it does not apply. Raises Wrong. The report calls it by the
function's name.
"""
ClassCheck = Callable[[Context], str]
"""check(context): tries one thing once for all variants."""
