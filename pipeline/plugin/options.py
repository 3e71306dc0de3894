"""The options of a stage class, or of another class that ``@stage`` made, and in words."""

from __future__ import annotations

from dataclasses import dataclass, is_dataclass
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Literal,
    TypeGuard,
    Union,
    cast,
    get_args,
    get_origin,
)

from .stage import IOOnly, Stage, StageClass, Within, hints_of, marked

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Option:
    """A key that may be given to a stage or to a group of options."""

    name: str
    field: str
    """The attribute; differs from the name where the field has an alias."""
    hint: object
    info: FieldInfo
    marker: Stage | None
    io_only: bool

    @property
    def kind(self) -> str | None:
        """The kind of the stage or stages that it holds; None: it holds none."""
        return self.marker.kind if self.marker else None

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.info.is_required() and not (self.marker and self.marker.default)

    @property
    def optional(self) -> bool:
        """Whether it may be null."""
        return NoneType in _alternatives(self.hint)

    @property
    def many(self) -> bool:
        """Whether it is a list of stages."""
        return any(get_origin(h) in (list, tuple) for h in _alternatives(self.hint))

    @property
    def section(self) -> type | None:
        """The class of a group of options that is no stage; None: it is no group."""
        groups = [h for h in _alternatives(self.hint) if is_stage_class(h)]
        return groups[0] if groups and not self.marker else None

    @property
    def text(self) -> str:
        """The type in words."""
        return describe(self.hint)

    @property
    def default(self) -> object:
        """The default, or for a stage without one the name that stands for it."""
        if self.info.is_required():
            return self.marker.default if self.marker else None
        return self.info.get_default(call_default_factory=True)


def is_stage_class(cls: object) -> TypeGuard[type]:
    """Whether ``@stage`` made this class."""
    return isinstance(cls, type) and is_dataclass(cls) and hasattr(cls, "__pydantic_fields__")


def options(cls: type) -> dict[str, Option]:
    """The options of a class that ``@stage`` made, in their order."""
    within = marked(cls, Within)
    return {n: option for n, option in all_options(cls).items() if option.field not in within}


def options_within(cls: type) -> dict[str, dict[str, Option]]:
    """The other options of a class, by the option in whose mapping they are given."""
    found: dict[str, dict[str, Option]] = {}
    for name, mark in marked(cls, Within).items():
        found.setdefault(mark.option, {})[name] = all_options(cls)[name]
    return found


def all_options(cls: type) -> dict[str, Option]:
    """Both together."""
    hints = hints_of(cls)
    stages, io_only = marked(cls, Stage), marked(cls, IOOnly)
    return {
        (name := info.alias or field): Option(
            name, field, hints[field], info, stages.get(field), field in io_only
        )
        for field, info in cast("StageClass", cls).__pydantic_fields__.items()
    }


def describe(hint: object) -> str:
    """A type in words: ``int >= 1``, ``'mae' | 'mse'``, ``list of metric``."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        annotated, *metadata = inner
        markers = [f"{m.kind} stage" for m in metadata if isinstance(m, Stage)]
        limits = ", ".join(text for m in metadata for text in _limits(m))
        return markers[0] if markers else f"{describe(annotated)} {limits}".strip()
    if origin is Literal:
        return " | ".join(map(repr, inner))
    if origin in (Union, UnionType):
        return " | ".join(map(describe, inner))
    if origin is tuple and ... not in inner:
        return "[" + ", ".join(map(describe, inner)) + "]"
    if origin in (list, tuple):
        return f"list of {describe(inner[0])}"
    return "null" if hint is NoneType else getattr(hint, "__name__", str(hint))


def atoms(hint: object) -> set[object]:
    """The scalar types that a type is made of; for a Literal its values."""
    inner = get_args(hint)
    if get_origin(hint) is Annotated:
        return atoms(inner[0])
    return {atom for h in inner for atom in atoms(h)} if inner else {hint}


def _alternatives(hint: object) -> list[object]:
    """The members of a union, without annotations."""
    if get_origin(hint) is Annotated:
        return _alternatives(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return [a for h in get_args(hint) for a in _alternatives(h)]
    return [hint]


def _limits(marker: object) -> list[str]:
    """The limits of a type in words: ``>= 1`` for ``Field(ge=1)``."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "multiple_of": "multiple of"}
    signs |= {"min_length": "of length >=", "max_length": "of length <=", "pattern": "like"}
    limits = [marker, *getattr(marker, "metadata", ())]
    return [
        f"{sign} {value}"
        for limit in limits
        for name, sign in signs.items()
        if (value := getattr(limit, name, None)) is not None
    ]
