"""A stage with its option sets: as given, as its class's examples say, and with one changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from types import NoneType
from typing import Any

from ..errors import InputError
from ..plugin.options import Option, atoms, options
from ..plugin.registry import Registry
from ..recipe.build import Builder
from ..recipe.merge import merge, override
from ..recipe.tree import Node, Origin, Problem
from ..recipe.yaml12 import flow
from .core import DEFAULTS, Context, Variant, known


def context(kind: str, stage: Any, registry: Registry, behaviour: Callable[[Any], Any]) -> Context:
    """The stage with its defaults if a class is given, then with its class's examples.

    Where a class has no defaults for some options, its first example takes their place. Raises
    InputError if there is none, or the defaults cannot be built.
    """
    cls = stage if isinstance(stage, type) else type(stage)
    name, registry = known(stage, kind, registry)
    found = Context(kind, name, cls, registry, behaviour)
    examples = list(examples_of(cls))
    if isinstance(stage, type):
        stage = found.build(base(cls))
    found.variants.append(Variant(stage, label(stage, registry)))
    places = {n: v for n, v in given(stage, registry).items() if options(cls)[n].io_only}
    for example in examples:
        try:
            made = found.build({**example, **places})
        except InputError as error:
            found.unbuildable.append(f"{_text(example)}: {error}")
            continue
        if all(made != variant.stage for variant in found.variants):
            found.variants.append(Variant(made, label(made, registry)))
    return found


def examples_of(cls: type) -> tuple[Mapping[str, Any], ...]:
    """The option sets that a class declares, by the names that recipes use."""
    return tuple(getattr(cls, "examples", ()))


def base(cls: type, also: Collection[str] = ()) -> Mapping[str, Any]:
    """No options; but the first example's if some must be given that are not in ``also``."""
    examples = examples_of(cls)
    needed = any(
        option.required and not option.io_only and name not in also
        for name, option in options(cls).items()
    )
    return examples[0] if needed and examples else {}


def overridden(
    kind: str, name: str, cls: type, overrides: Sequence[str], registry: Registry
) -> Any:
    """A stage with options as ``--set`` gives them. Raises InputError."""
    problems: list[Problem] = []
    at, changes = Origin("--set"), Node({}, Origin("--set"))
    for text in overrides:
        changes, _ = override(changes, text, problems)
    start = Node.of({**base(cls, changes.mapping), "name": name}, at)
    builder = Builder(registry, problems=problems)
    made = builder.stage(kind, merge(start, changes), "")
    builder.report()
    return made


def given(stage: Any, registry: Registry) -> dict[str, Any]:
    """A stage's options as a recipe would give them; nested stages as they are."""
    plain = registry.plain(stage)
    return {
        name: getattr(stage, option.field) if option.kind else plain[name]
        for name, option in options(type(stage)).items()
    }


def label(stage: Any, registry: Registry) -> str:
    """``eta=1.0``: what is not at its default."""
    changed = {}
    for name, option in options(type(stage)).items():
        value, default = getattr(stage, option.field), option.default
        # The default of a nested stage may be its name.
        named = option.kind and isinstance(default, str)
        now = registry.name_of(value, option.kind) if named else value
        if option.required or now != default:
            changed[name] = value
    return _text(changed) or DEFAULTS


def alternatives(option: Option, found: Context) -> Iterator[Any]:
    """Other values of an option to try: of other option sets, then by its type."""
    for variant in found.variants:
        yield given(variant.stage, found.registry)[option.name]
    if option.optional:
        yield None
    if option.kind:
        names = [e.name for e in found.registry.entries(option.kind)]
        yield from ([[name] for name in names] if option.many else names)
        return
    yield from _by_type(option, found)


def _by_type(option: Option, found: Context) -> Iterator[Any]:
    kinds = atoms(option.hint)
    yield from sorted((v for v in kinds if not isinstance(v, type)), key=str)
    if bool in kinds:
        yield from (True, False)
    for variant in found.variants:
        now = getattr(variant.stage, option.field)
        if isinstance(now, (list, tuple)) and now:
            yield list(now[:-1])
            yield [*now, now[-1]]
            if all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in now):
                yield from ([n * 2 for n in now], list(reversed(now)))
        elif isinstance(now, (int, float, NoneType)) and not isinstance(now, bool):
            yield from _numbers(kinds, now or 0)


def _numbers(kinds: set[Any], now: float) -> Iterator[float]:
    """Near ones first; those beyond the option's limits are refused when built."""
    if int in kinds:
        yield from (int(now) + 1, int(now) - 1, 2 * int(now), int(now) // 2, 1, 2, 3, 0)
    if float in kinds:
        yield from (now * 1.5, now / 2, now + 0.5, now - 0.5, 0.5, 1.0, 0.1, 0.0, now * 10)


def changed(found: Context, index: int, option: Option) -> Iterator[tuple[Any, Any]]:
    """(value, stage) with this one option of a variant changed, wherever that can be built."""
    variant = found.variants[index]
    base, tried = given(variant.stage, found.registry), []
    for value in alternatives(option, found):
        if value in tried:
            continue
        tried.append(value)
        try:
            made = found.build({**base, option.name: value})
        except InputError:
            continue
        if made != variant.stage:
            yield value, made


def _text(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    return type(value).__name__ if is_dataclass(value) else flow(value)
