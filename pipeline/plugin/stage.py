"""``@stage`` makes a class a stage: a frozen, keyword-only dataclass that refuses unknown options.

pydantic is imported where it is used: ``import pipeline`` shall not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import (
    TYPE_CHECKING,
    ClassVar,
    Protocol,
    TypeVar,
    cast,
    dataclass_transform,
    get_args,
    get_type_hints,
)

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import CoreSchema

T = TypeVar("T")

OptionSets = Sequence[Mapping[str, object]]
"""Sets of options, as recipes give them. A stage class may declare some, which the conformance kit
tries beside the defaults: ``examples: ClassVar[OptionSets] = …``."""


@dataclass_transform(frozen_default=True, kw_only_default=True)
def stage(cls: type[T]) -> type[T]:
    """Make the annotated fields of ``cls`` the options of a stage, checked and converted.

    A string under a field is that option's documentation. Options that nobody declared are refused.
    """
    import pydantic.dataclasses  # here: see above
    from pydantic import ConfigDict

    config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )
    checked = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=config)(cls)
    return cast("type[T]", checked)


class StageClass(Protocol):
    """What ``@stage`` adds to a class."""

    __pydantic_fields__: ClassVar[dict[str, FieldInfo]]


@dataclass(frozen=True)
class Stage:
    """Marks an option that holds a stage: ``Annotated[Upsampler, Stage("upsampler")]``.

    A recipe gives a name or a mapping with a name; ``default`` is the name that stands when the
    recipe gives none (a stage class may give an instance as the field's default instead).
    """

    kind: str
    default: str | None = None

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        from pydantic_core import core_schema  # here: see above

        def check(value: object) -> object:
            if value is None or not is_dataclass(value) or isinstance(value, type):
                raise ValueError(f"should be a {self.kind} stage, got {value!r}")
            return value

        return core_schema.no_info_plain_validator_function(check)


@dataclass(frozen=True)
class IOOnly:
    """Marks an option that says where something is, not what: ``Annotated[Path, IOOnly()]``.

    Or how much time or memory something takes, if the result is the same. It is left out of content
    keys and of the names of runs.
    """


@dataclass(frozen=True)
class Within:
    """Marks an option that is given in the mapping of the stage beside it, of whatever class.

    ``dataset: {name: image_folder, root: photos, on_error: skip}``: the engine reads the images of
    any dataset, so ``on_error`` is an option of the recipe, ``Annotated[…, Within("dataset")]``.
    """

    option: str


@cache
def hints_of(cls: type) -> Mapping[str, object]:
    """The types of a class's options with their annotations, looked up once."""
    return get_type_hints(cls, include_extras=True)


def marked(cls: type, marker: type[T]) -> dict[str, T]:
    """The options of ``cls`` that carry a ``marker`` anywhere in their type, with the marker."""
    return {
        name: marks[0]
        for name, hint in hints_of(cls).items()
        if (marks := [m for m in _metadata(hint) if isinstance(m, marker)])
    }


def _metadata(hint: object) -> Iterator[object]:
    """Annotations at any depth: ``list[Annotated[X, M]]`` and ``Annotated[X, M] | None``."""
    yield from getattr(hint, "__metadata__", ())
    for inner in get_args(hint):
        yield from _metadata(inner)


def options_of(stage: object) -> dict[str, object]:
    """A stage's options by the names that recipes use, nested stages as they are.

    An option whose name would hide a method has an alias: ``error: … = Field(alias="loss")``.
    """
    fields = cast("StageClass", stage).__pydantic_fields__
    return {info.alias or name: getattr(stage, name) for name, info in fields.items()}
