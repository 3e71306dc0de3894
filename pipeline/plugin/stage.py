"""``@stage`` makes a class a stage: a frozen, keyword-only dataclass that refuses unknown options.

pydantic is imported where it is used: ``pipeline --help`` shall not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from typing import Any, TypeVar, dataclass_transform, get_args, get_type_hints

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def stage(cls: type[T]) -> type[T]:
    """Make the annotated fields of ``cls`` the options of a stage, checked and converted.

    A string under a field is that option's documentation. Options that nobody declared are refused.
    """
    import pydantic.dataclasses
    from pydantic import ConfigDict

    config = ConfigDict(
        extra="forbid", use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )
    made: Any = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=config)(cls)
    return made  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Stage:
    """Marks an option that holds a stage: ``Annotated[Upsampler, Stage("upsampler")]``.

    A recipe gives a name or a mapping with a name; ``default`` is the name that stands when the
    recipe gives none (a stage class may give an instance as the field's default instead).
    """

    kind: str
    default: str | None = None

    def __get_pydantic_core_schema__(self, _: Any, __: Any) -> Any:
        from pydantic_core import core_schema

        def check(value: Any) -> Any:
            if value is None or not is_dataclass(value) or isinstance(value, type):
                raise ValueError(f"should be a {self.kind} stage, got {value!r}")
            return value

        return core_schema.no_info_plain_validator_function(check)


@dataclass(frozen=True)
class IOOnly:
    """Marks an option that says where something is, not what: ``Annotated[Path, IOOnly()]``.

    It is left out of content keys and of the names of runs.
    """


def marked(cls: type, marker: type[T]) -> dict[str, T]:
    """The options of ``cls`` that carry a ``marker`` anywhere in their type, with the marker."""
    return {
        name: found[0]
        for name, hint in get_type_hints(cls, include_extras=True).items()
        if (found := [m for m in _metadata(hint) if isinstance(m, marker)])
    }


def _metadata(hint: Any) -> Iterator[Any]:
    """Annotations at any depth: ``list[Annotated[X, M]]`` and ``Annotated[X, M] | None``."""
    yield from getattr(hint, "__metadata__", ())
    for inner in get_args(hint):
        yield from _metadata(inner)


def options_of(made: Any) -> dict[str, Any]:
    """A stage's options by the names that recipes use, nested stages as they are.

    An option whose name would hide a method has an alias: ``error: … = Field(alias="loss")``.
    """
    return {
        info.alias or name: getattr(made, name)
        for name, info in type(made).__pydantic_fields__.items()
    }
