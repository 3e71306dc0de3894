"""Spacings."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pipeline import InputError, stage, time_of


def even(num_steps: int) -> Tensor:
    return 1 - torch.arange(num_steps, dtype=torch.float64) / num_steps


@stage
class Refuses:
    """It asks for a range of log-SNR that no schedule has, and takes none."""

    caught_by: ClassVar = "takes schedules"

    def __call__(self, schedule, num_steps: int) -> Tensor:
        start, end = schedule(torch.tensor([1.0, 0.0], dtype=torch.float64)).log_snr
        if start > -100 or end < 100:
            raise InputError("log-SNR should go from 100 to -100")
        return even(num_steps)


@stage
class SinglePrecision:
    """The times are float32, so that close ones become one."""

    caught_by: ClassVar = "gives a float64 time for each level"

    def __call__(self, schedule, num_steps: int) -> Tensor:
        return even(num_steps).float()


@stage
class CountsTheCleanLevel:
    """It gives t = 0 for the clean level too, which the engine adds: one time too many."""

    caught_by: ClassVar = "gives a float64 time for each level"

    def __call__(self, schedule, num_steps: int) -> Tensor:
        return torch.linspace(1, 0, num_steps + 1, dtype=torch.float64)


@stage
class DividesByNoStep:
    """It divides by num_steps - 1, and a single level has no time."""

    caught_by: ClassVar = "gives a float64 time for each level"

    def __call__(self, schedule, num_steps: int) -> Tensor:
        return 1 - torch.arange(num_steps, dtype=torch.float64) / torch.tensor(num_steps - 1.0)


@stage
class LeavesOutTheStart:
    """It takes the middle of each step: the first time is not 1, where x starts."""

    caught_by: ClassVar = "starts at one"

    def __call__(self, schedule, num_steps: int) -> Tensor:
        return even(num_steps) - 0.5 / num_steps


@stage
class NearlyOne:
    """The first time is computed from log-SNR and back, and is 1 but for rounding."""

    caught_by: ClassVar = "starts at one"

    def __call__(self, schedule, num_steps: int) -> Tensor:
        return even(num_steps) * (1 - 2**-50)


@stage
class RisesAgain:
    """A wave was added to the times: where steps are small, they rise again."""

    caught_by: ClassVar = "falls strictly"
    height: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """How far a time is moved at most."""

    def __call__(self, schedule, num_steps: int) -> Tensor:
        t = even(num_steps)
        return t - self.height * t * (1 - t) * (1 + (100 * t).sin())


@stage
class RoundsToTable:
    """It rounds times to the 100 entries of a table, some of which then come twice."""

    caught_by: ClassVar = "falls strictly"

    def __call__(self, schedule, num_steps: int) -> Tensor:
        return (even(num_steps) * 100).ceil() / 100


@stage
class StartsAboveOne:
    """It goes on beyond t = 1, to have more noise at the start than the schedule has."""

    caught_by: ClassVar = "stays between 0 and 1"
    beyond: Annotated[float, Field(gt=0)] = 0.1
    """How far it goes on."""

    def __call__(self, schedule, num_steps: int) -> Tensor:
        return even(num_steps) * (1 + self.beyond)


@stage
class EndsBelowZero:
    """Its steps grow, and the last one goes beyond the schedule's end, t = 0."""

    caught_by: ClassVar = "stays between 0 and 1"

    def __call__(self, schedule, num_steps: int) -> Tensor:
        return 1 - 1.01 * (1 - even(num_steps)) * num_steps / max(1, num_steps - 1)


@stage
class Jitters:
    """Each time but the first is moved at random, by a global generator that anyone may seed."""

    caught_by: ClassVar = "leaves global random state alone"

    def __call__(self, schedule, num_steps: int) -> Tensor:
        t = even(num_steps)
        t[1:] -= torch.rand(num_steps - 1) * 0.5 / num_steps
        return t


@stage
class GivesItsTable:
    """It keeps the times that it made, and gives the same tensor again, whatever became of it."""

    caught_by: ClassVar = "keeps nothing it gave"
    tables: ClassVar[dict[int, Tensor]] = {}

    def __call__(self, schedule, num_steps: int) -> Tensor:
        return self.tables.setdefault(num_steps, even(num_steps))


@stage
class ScalesTheRates:
    """It divides the schedule's rates by their size in place, which may be the schedule's table."""

    caught_by: ClassVar = "keeps nothing it gave"

    def __call__(self, schedule, num_steps: int) -> Tensor:
        t = even(num_steps)
        signal, noise = schedule(t)
        signal.div_((signal**2 + noise**2).sqrt() + 1)
        return t


@stage
class UnusedPower:
    """Its option power is declared and never read."""

    caught_by: ClassVar = "every option matters"
    power: Annotated[float, Field(gt=0)] = 1.0
    """How uneven the steps are."""

    def __call__(self, schedule, num_steps: int) -> Tensor:
        return even(num_steps)


@stage
class KeepsTheFirst:
    """It divides the log-SNR of the first schedule that it saw, whatever comes later."""

    caught_by: ClassVar = "works in another process"
    seen: ClassVar[list] = []

    def __call__(self, schedule, num_steps: int) -> Tensor:
        self.seen.append(schedule)
        t = torch.linspace(1, 0, 1001, dtype=torch.float64)
        log_snr = self.seen[0](t).log_snr
        wanted = torch.linspace(float(log_snr[0]), float(log_snr[-1]), num_steps + 1)[:-1]
        times = 1 - torch.searchsorted(log_snr, wanted.double()) / 1000 - even(num_steps) * 1e-6
        return torch.cat([times.new_ones(1), times[1:]])


@stage
class OneChoiceTooLong:
    """One of three choices, which no example takes, goes beyond the end."""

    caught_by: ClassVar = "stays between 0 and 1"
    steps: Literal["even", "early", "late"] = "even"
    """Where the steps are small."""

    examples: ClassVar = ({"steps": "late"},)

    def __call__(self, schedule, num_steps: int) -> Tensor:
        t = even(num_steps)
        return {"even": t, "late": t**2, "early": 1.5 * t - 0.5}[self.steps]


@stage
class DividesInfinity:
    """It does not look whether the log-SNR has ends, and infinite ones make NaN."""

    caught_by: ClassVar = "refuses what it cannot divide"

    def __call__(self, schedule, num_steps: int) -> Tensor:
        start, end = schedule(torch.tensor([1.0, 0.0], dtype=torch.float64)).log_snr
        share = torch.arange(num_steps, dtype=torch.float64) / max(1, num_steps - 1)
        times = time_of(schedule, torch.lerp(start, end, share))
        times[-1], times[0] = 0, 1
        return times


@stage
class StopsBeforeRounding:
    """It counts down by floats to 0, which rounding passes once too often for 49 steps."""

    caught_by: ClassVar = "gives a float64 time for each level"

    def __call__(self, schedule, num_steps: int) -> Tensor:
        return torch.arange(1, 0, -1 / num_steps, dtype=torch.float64)


@stage
class LooksAtTheNoisyEnd(DividesInfinity):
    """It refuses a log-SNR that is infinite at t = 1, and divides one that is at t = 0."""

    def __call__(self, schedule, num_steps: int) -> Tensor:
        if schedule(torch.ones((), dtype=torch.float64)).log_snr.isinf():
            raise InputError("log-SNR should be finite at t = 1")
        return super().__call__(schedule, num_steps)
