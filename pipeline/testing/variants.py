"""A stage in its option sets: as it was given, as its class's examples say, and with one changed.

All laws hold for all options: where no example changes an option, one more stage does.

The examples are option sets that a class declares for this kit, beside its defaults::

    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({"eta": 0.0}, {"eta": 1.5})

Each is a mapping of options as a recipe would write them. All checks run on the given stage and on
one stage for each example; together they should make every option matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass
from types import NoneType
from typing import Any

from ..errors import InputError
from ..plugin.options import Option, atoms, options
from ..plugin.registry import Entry, Provider, Registry
from ..recipe.build import Builder
from ..recipe.merge import merge, override
from ..recipe.tree import Node, Origin, Problem
from ..recipe.yaml12 import flow
from .context import DEFAULTS, Behaviour, Context, Variant

QUICK = (
    *("schedule", "spacing", "objective", "sampler", "guidance", "upsampler"),
    *("lr_schedule", "metric", "augmentation", "preprocessor"),
)
"""Kinds whose checks take little time: each option is changed once, and all laws tried with it."""


def context_of(kind: str, stage: Any, registry: Registry, behaviour: Behaviour) -> Context:
    """The stage, or a class with its defaults, and then the class with each of its examples.

    Where a class has no defaults for some options, its first example takes their place. Raises
    InputError if there is none, or the defaults cannot be built.
    """
    cls = class_of(stage)
    name, registry = name_in(cls, kind, registry)
    context = Context(kind, name, cls, registry, behaviour)
    if isinstance(stage, type):
        stage = context.build(_base(cls))
    context.variants.append(Variant(stage, _label(stage, registry)))
    _add_examples(context)
    if kind in QUICK:
        _add_changed(context)
    return context


def class_of(stage: object) -> type:
    """The class of a stage, or the class that was given instead."""
    return stage if isinstance(stage, type) else type(stage)


def examples_of(cls: type) -> tuple[Mapping[str, Any], ...]:
    """The option sets that a class declares for the kit, by the names that recipes use."""
    return tuple(getattr(cls, "examples", ()))


def overridden(
    kind: str, name: str, cls: type, overrides: Sequence[str], registry: Registry
) -> Any:
    """A stage with options as ``--set`` gives them. Raises InputError."""
    problems: list[Problem] = []
    at = Origin("--set")
    changes = Node({}, at)
    for text in overrides:
        changes, _ = override(changes, text, problems)
    start = Node.of({**_base(cls, changes.mapping), "name": name}, at)
    builder = Builder(registry, problems=problems)
    stage = builder.stage(kind, merge(start, changes), "")
    builder.report()
    return stage


def variations(context: Context, index: int, option: Option) -> Iterator[tuple[Any, Any]]:
    """(value, stage) with this one option of a variant changed, wherever that can be built."""
    variant = context.variants[index]
    given, tried = _options_of(variant.stage, context.registry), []
    for value in _other_values(option, context):
        if value in tried:
            continue
        tried.append(value)
        try:
            stage = context.build({**given, option.name: value})
        except InputError:
            continue
        if stage != variant.stage:
            yield value, stage


def name_in(cls: type, kind: str, registry: Registry) -> tuple[str, Registry]:
    """The name of a class, and a registry that has it even if no plugin registers it."""
    entry = registry.entry_of(cls, kind)
    if entry:
        return entry.name, registry
    name = f"{cls.__module__}:{cls.__qualname__}"
    added = Entry(kind, name, cls, Provider(cls.__module__))
    return name, Registry([*registry.found, added], registry.broken)


def _base(cls: type, given: Collection[str] = ()) -> Mapping[str, Any]:
    """No options, or the first example's if some must be given that are not in ``given``."""
    examples = examples_of(cls)
    needed = any(
        option.required and not option.io_only and name not in given
        for name, option in options(cls).items()
    )
    return examples[0] if needed and examples else {}


def _add_examples(context: Context) -> None:
    """A variant for each example; options for places stay those of the first variant."""
    given, known = context.variants[0].stage, options(context.cls)
    values = _options_of(given, context.registry)
    places = {name: value for name, value in values.items() if known[name].io_only}
    for example in examples_of(context.cls):
        try:
            stage = context.build({**example, **places})
        except InputError as error:
            context.unbuildable.append(f"{_text(example)}: {error}")
            continue
        _add(context, stage)


def _add_changed(context: Context) -> None:
    """A variant for each option that no other has changed yet, and for each choice that none has.

    And one in which all are changed at once, where that can be built.
    """
    for option in options(context.cls).values():
        if option.io_only or option.kind:
            continue
        known = [getattr(variant.stage, option.field) for variant in context.variants]
        missing = [value for value in _choices(option) if value not in known]
        for value, stage in variations(context, 0, option):
            if value in missing or all(other == known[0] for other in known):
                _add(context, stage)
                known.append(value)
    _add_all_changed(context)


def _add_all_changed(context: Context) -> None:
    """A variant of the values that differ from the first one's, the last of each."""
    first, *others = [_options_of(v.stage, context.registry) for v in context.variants]
    changed = {k: v for other in others for k, v in other.items() if v != first[k]}
    with suppress(InputError):  # they need not go together
        _add(context, context.build({**first, **changed}))


def _add(context: Context, stage: Any) -> None:
    if all(stage != variant.stage for variant in context.variants):
        context.variants.append(Variant(stage, _label(stage, context.registry)))


def _options_of(stage: Any, registry: Registry) -> dict[str, Any]:
    """A stage's options as a recipe would give them; nested stages as they are."""
    plain = registry.plain(stage)
    return {
        name: getattr(stage, option.field) if option.kind else plain[name]
        for name, option in options(type(stage)).items()
    }


def _label(stage: Any, registry: Registry) -> str:
    """The options that are not at their defaults: ``eta=1.0``."""
    changed = {}
    for name, option in options(type(stage)).items():
        value, default = getattr(stage, option.field), option.default
        # The default of a nested stage may be its name.
        by_name = option.kind and isinstance(default, str)
        if (
            option.required
            or (registry.name_of(value, option.kind) if by_name else value) != default
        ):
            changed[name] = value
    return _text(changed) or DEFAULTS


def _other_values(option: Option, context: Context) -> Iterator[Any]:
    """Values of an option to try: those of the other option sets, then some by its type."""
    for variant in context.variants:
        yield _options_of(variant.stage, context.registry)[option.name]
    if option.optional:
        yield None
    if option.io_only and int in atoms(option.hint):
        yield from (1, 2)  # as a batch or a part that is cut
    if option.kind:
        names = [entry.name for entry in context.registry.entries(option.kind)]
        yield from ([[name] for name in names] if option.many else names)
        return
    yield from _choices(option)
    for variant in context.variants:
        yield from _near(getattr(variant.stage, option.field), atoms(option.hint))


def _choices(option: Option) -> Iterator[Any]:
    """The values of a ``Literal``, and of a bool."""
    allowed = atoms(option.hint)
    yield from sorted((value for value in allowed if not isinstance(value, type)), key=str)
    if bool in allowed:
        yield from (True, False)


def _near(value: Any, types: set[Any]) -> Iterator[Any]:
    """Values like this number or list."""
    if isinstance(value, (list, tuple)) and value:
        yield list(value[:-1])
        yield [*value, value[-1]]
        if all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in value):
            yield from ([n * 2 for n in value], list(reversed(value)))
    elif isinstance(value, (int, float, NoneType)) and not isinstance(value, bool):
        yield from _numbers(types, value or 0)


def _numbers(types: set[Any], value: float) -> Iterator[float]:
    """Near numbers first; those beyond the option's limits are refused when built."""
    if int in types:
        yield from (int(value) + 1, int(value) - 1, 2 * int(value), int(value) // 2, 1, 2, 3, 0)
    if float in types:
        yield from (value * 1.5, value / 2, value + 0.5, value - 0.5, 0.5, 1.0, 0.1, 0.0)
        yield value * 10


def _text(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_value_text(value)}" for name, value in values.items())


def _value_text(value: Any) -> str:
    return type(value).__name__ if is_dataclass(value) else flow(value)
