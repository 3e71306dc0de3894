"""Flow matching: regress the velocity from images to noise.

Lipman et al. 2023 (https://arxiv.org/abs/2210.02747, eq. 23) and Liu et al. 2023
(https://arxiv.org/abs/2209.03003, eq. 1), with t = 1 as noise.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor

from pipeline import Draws, Network, OptionSets, Prediction, Rates, Schedule, stage

from .regression import Error, Seen, call, losses, noisy
from .times import Location, Scale, Times, draw_times, refuse_unread


@stage
class FlowMatching:
    """The network predicts u = eps - x0; the loss is a mean over all pixels of u.

    With the ``flow`` schedule u is dx / dt along the straight line. With any other it is the same
    difference, from which x0 and eps follow as well. The network sees x / c and the scaled rates
    (signal, noise) / c, with c = sqrt(signal² + noise²), whatever the schedule.
    """

    error: Annotated[Error, Field(alias="loss")] = "mse"
    """Mean absolute or mean squared error."""
    times: Times = "uniform"
    """Where in t to train: uniform, logit_normal (more often in the middle), or stratified (one
    time in each N-th part of [0, 1] for a batch of N: uniform, with less noise in the loss)."""
    times_location: Location = None
    """The median of logit(t) for ``logit_normal``; none: 0. Above 0: more noise."""
    times_scale: Scale = None
    """The standard deviation of logit(t) for ``logit_normal``; none: 1."""

    examples: ClassVar[OptionSets] = (
        {"loss": "mae", "times": "stratified"},
        {"loss": "mse", "times": "logit_normal", "times_location": 0.5, "times_scale": 0.8},
    )

    @model_validator(mode="after")
    def _refuse_unread(self) -> Self:
        logit_normal = {"times_location": self.times_location, "times_scale": self.times_scale}
        refuse_unread("times", self.times, "logit_normal", **logit_normal)
        return self

    def loss(
        self,
        network: Network,
        x0: Tensor,
        label: Tensor | None,
        schedule: Schedule,
        draws: Draws,
    ) -> dict[str, Tensor]:
        """x0 (N, C, H, W) -> scalars: ``loss``, and ``noise_loss`` and ``image_loss`` to watch."""
        t = draw_times(self.times, self.times_location, self.times_scale, x0, draws)
        rates, eps = schedule(t), draws.normal(x0)
        seen = call(network, noisy(x0, eps, rates), rates, label)
        return losses(self.error, seen.out, eps - x0, None, _read(seen), Prediction(x0, eps))

    def predict(
        self,
        network: Network,
        x: Tensor,
        rates: Rates[float] | Rates[Tensor],
        label: Tensor | None,
    ) -> Prediction:
        """Noisy x (N, C, H, W); rates floats or (N,)."""
        return _read(call(network, x, rates, label))


def _read(seen: Seen) -> Prediction:
    """What u says of x = signal * x0 + noise * eps."""
    signal, noise = seen.rates
    both = signal + noise  # from 1 to sqrt(2), as these rates are scaled
    return Prediction((seen.x - noise * seen.out) / both, (seen.x + signal * seen.out) / both)
