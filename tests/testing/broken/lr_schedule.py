"""Learning-rate schedules."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from pipeline import stage


@stage
class NegativeAfterItsEnd:
    """A linear decay goes on below 0 when training goes on for longer."""

    caught_by: ClassVar = "gives finite factors"
    total_steps: Annotated[int, Field(ge=1)] = 1000
    """Where the learning rate reaches 0."""

    def __call__(self, step: int) -> float:
        return 1 - step / self.total_steps


@stage
class DividesByNoWarmup:
    """The warm-up divides by its length, which may be 0 steps."""

    caught_by: ClassVar = "gives finite factors"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps until the full learning rate."""

    def __call__(self, step: int) -> float:
        return min(1.0, (step + 1) / self.warmup_steps)


@stage
class CountsItsCalls:
    """It counts how often it was asked, not the steps: resumed, it starts anew."""

    caught_by: ClassVar = "depends on the step only"
    calls: ClassVar[list[int]] = []

    def __call__(self, step: int) -> float:
        self.calls.append(step)
        return 1 / len(self.calls)


@stage
class StandsStillFirst:
    """The warm-up begins at 0: the first step changes nothing."""

    caught_by: ClassVar = "gives finite factors"

    def __call__(self, step: int) -> float:
        return min(1.0, step / 100)


@stage
class BeyondFull:
    """The factor is the learning rate's divisor: it grows above 1."""

    caught_by: ClassVar = "gives finite factors"

    def __call__(self, step: int) -> float:
        return 1 + step / 1000


@stage
class EndsInTheOnlyStep:
    """It counts the steps that are done from 1: the only step of a training has the factor 0."""

    caught_by: ClassVar = "gives finite factors"
    total_steps: Annotated[int, Field(ge=1)] | None = None
    """Where the learning rate is 0; null: at the end of the training."""

    def __call__(self, step: int) -> float:
        return max(0.0, 1 - (step + 1) / (self.total_steps or 1))
