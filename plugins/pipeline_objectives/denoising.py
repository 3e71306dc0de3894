"""Denoising: regress the noise, the clean image, or their mixture v.

Ho et al. 2020 (https://arxiv.org/abs/2006.11239, eq. 14) for eps; Salimans & Ho 2022
(https://arxiv.org/abs/2202.00512, section 4 and appendix D) for x0 and v; Hang et al. 2023
(https://arxiv.org/abs/2303.09556) for the weighting min_snr.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor

from pipeline import Draws, InputError, Network, OptionSets, Prediction, Rates, Schedule, stage

from .regression import Error, Seen, call, losses, noisy
from .times import Location, Scale, Times, draw_times, refuse_unread

NO_SIGNAL = 1e-3
"""Signal this small beside noise: x0 from eps would have the network's error a thousand times."""

NO_NOISE = 1e-5
"""Noise this small beside signal counts as none: |log_snr| is 23 there, and 20 is allowed. Above it
an error of eps from x0 does no harm, as eps weighs little in what is drawn next."""


@stage
class Denoising:
    """The loss is a mean over all pixels of what the network predicts.

    The network sees x / c and the scaled rates (signal, noise) / c, with
    c = sqrt(signal² + noise²), whatever the schedule.
    """

    prediction: Literal["eps", "x0", "v"] = "eps"
    """What the network's output means; v = signal * eps - noise * x0, of the scaled rates."""
    error: Annotated[Error, Field(alias="loss")] = "mae"
    """Mean absolute or mean squared error."""
    weighting: Literal["uniform", "min_snr"] = "uniform"
    """The weight of each image's error. uniform: 1. min_snr: with snr = (signal / noise)²,
    min(snr, snr_cap) for x0, that / snr for eps and / (snr + 1) for v; with mse all three weigh the
    error of x0 alike."""
    snr_cap: Annotated[float, Field(gt=0)] | None = None
    """Where ``min_snr`` caps snr, the paper's gamma; none: 5."""
    times: Times = "uniform"
    """Where in t to train: uniform, logit_normal (more often in the middle), or stratified (one
    time in each N-th part of [0, 1] for a batch of N: uniform, with less noise in the loss)."""
    times_location: Location = None
    """The median of logit(t) for ``logit_normal``; none: 0. Above 0: more noise."""
    times_scale: Scale = None
    """The standard deviation of logit(t) for ``logit_normal``; none: 1."""

    examples: ClassVar[OptionSets] = (
        {"prediction": "v", "loss": "mse", "weighting": "min_snr", "snr_cap": 3.0},
        {"prediction": "x0", "weighting": "min_snr", "times": "stratified"},
        {"prediction": "v", "times": "logit_normal", "times_location": -0.9, "times_scale": 0.5},
    )

    @model_validator(mode="after")
    def _refuse_unread(self) -> Self:
        logit_normal = {"times_location": self.times_location, "times_scale": self.times_scale}
        refuse_unread("weighting", self.weighting, "min_snr", snr_cap=self.snr_cap)
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
        rates, truth = schedule(t), Prediction(x0, draws.normal(x0))
        seen = call(network, noisy(*truth, rates), rates, label)
        target, weights = self._target(truth, seen.rates), self._weights(seen.rates)
        return losses(self.error, seen.out, target, weights, self._read(seen), truth)

    def predict(
        self,
        network: Network,
        x: Tensor,
        rates: Rates[float] | Rates[Tensor],
        label: Tensor | None,
    ) -> Prediction:
        """Noisy x (N, C, H, W); rates floats or (N,).

        Raises InputError where the prediction cannot tell x0 and eps: eps without signal, as at
        t = 1 of ``flow``, ``cosine_nichol`` and ``sigmoid``, and x0 without noise. Only floats are
        looked at: to look at tensors would make a GPU wait.
        """
        self._refuse_untold(rates)
        return self._read(call(network, x, rates, label))

    def _target(self, truth: Prediction, rates: Rates[Tensor]) -> Tensor:
        """What the output should be; rates scaled."""
        if self.prediction == "v":
            return rates.signal * truth.eps - rates.noise * truth.x0
        return truth.eps if self.prediction == "eps" else truth.x0

    def _weights(self, rates: Rates[Tensor]) -> Tensor | None:
        """The weight of each image (N,); rates scaled, so that snr + 1 is 1 / noise²."""
        if self.weighting == "uniform":
            return None
        cap = 5.0 if self.snr_cap is None else self.snr_cap
        snr = (rates.signal / rates.noise).flatten() ** 2
        if self.prediction == "eps":
            return (cap / snr).clamp(max=1)
        capped = snr.clamp(max=cap)
        return capped if self.prediction == "x0" else capped * rates.noise.flatten() ** 2

    def _read(self, seen: Seen) -> Prediction:
        """What the output says of x = signal * x0 + noise * eps."""
        out, x, (signal, noise) = seen
        if self.prediction == "eps":
            return Prediction((x - noise * out) / signal, out)
        if self.prediction == "x0":
            return Prediction(out, (x - signal * out) / noise)
        return Prediction(signal * x - noise * out, noise * x + signal * out)

    def _refuse_untold(self, rates: Rates[float] | Rates[Tensor]) -> None:
        """Raise InputError where x0 and eps cannot be told from what is predicted."""
        signal, noise = rates
        if isinstance(signal, Tensor) or isinstance(noise, Tensor):
            return
        if self.prediction == "eps" and signal <= NO_SIGNAL * noise:
            raise InputError(
                f"objective: prediction eps: the schedule's signal falls to {signal:g} "
                f"beside noise {noise:g}, and there eps cannot tell x0; set "
                "objective.prediction to v or x0, or take a schedule that keeps more signal at "
                "t = 1, such as cosine"
            )
        if self.prediction == "x0" and noise <= NO_NOISE * signal:
            raise InputError(
                f"objective: prediction x0: the schedule's noise falls to {noise:g} beside "
                f"signal {signal:g}, and there x0 cannot tell eps; set "
                "objective.prediction to v or eps, or take a schedule that keeps some noise at "
                "t = 0"
            )
