"""How often something is done: ``1 epoch``, ``500 steps``, ``5 minutes``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from pydantic_core import CoreSchema, core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

Unit = Literal["epoch", "step", "minute", "second"]


@dataclass(frozen=True)
class Every:
    """A number of epochs, steps, minutes or seconds, after which something is done again."""

    amount: int
    unit: Unit

    @classmethod
    def parse(cls, text: object) -> Every:
        """Read a recipe's text."""
        if isinstance(text, Every):
            return text
        words = re.fullmatch(r"(\d+) *(epoch|step|minute|second)s?", str(text).strip())
        if not words or not int(words[1]):
            raise ValueError("should be like '1 epoch', '500 steps' or '5 minutes'")
        return cls(int(words[1]), cast("Unit", words[2]))

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}" + "s" * (self.amount != 1)

    def in_steps(self, per_epoch: int) -> int:
        """So many steps, for an interval of epochs or steps, where an epoch has ``per_epoch``."""
        return self.amount * (per_epoch if self.unit == "epoch" else 1)

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse)


@dataclass(frozen=True)
class Units:
    """The units that an ``Every`` may have."""

    allowed: tuple[Unit, ...]

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def check(every: Every) -> Every:
            if every.unit not in self.allowed:
                raise ValueError(f"should count {' or '.join(self.allowed)}s, got {str(every)!r}")
            return every

        return core_schema.no_info_after_validator_function(check, handler(source))
