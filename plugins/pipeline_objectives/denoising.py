"""Denoising: regress the noise, the clean image, or their mixture v.

Ho et al. 2020 (https://arxiv.org/abs/2006.11239, eq. 14) for eps; Salimans & Ho 2022
(https://arxiv.org/abs/2202.00512, section 4 and appendix D) for x0 and v.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from pipeline import Prediction, Rates, stage
from pipeline.contracts import Network, Schedule
from pipeline.draws import Draws


@stage
class Denoising:
    """t is uniform, the loss a mean over all pixels of what the network predicts.

    The network sees x / c and the scaled rates (signal, noise) / c, with
    c = sqrt(signal² + noise²), whatever the schedule.
    """

    prediction: Literal["eps", "x0", "v"] = "eps"
    """What the network's output means; v = signal * eps - noise * x0, of the scaled rates."""
    error: Annotated[Literal["mae", "mse"], Field(alias="loss")] = "mae"
    """Mean absolute or mean squared error."""

    def loss(
        self,
        network: Network,
        x0: Tensor,
        label: Tensor | None,
        schedule: Schedule,
        draws: Draws,
    ) -> dict[str, Tensor]:
        """x0 (N, C, H, W) -> scalars: ``loss``, and ``noise_loss`` and ``image_loss`` to watch."""
        rates = schedule(draws.uniform(x0[:, 0, 0, 0])).over(x0)
        eps = draws.normal(x0)
        out = self._call(network, rates.signal * x0 + rates.noise * eps, rates, label)
        seen = self._read(*out)
        signal, noise = rates.scaled
        target = {"eps": eps, "x0": x0, "v": signal * eps - noise * x0}[self.prediction]
        distance = {"mae": l1_loss, "mse": mse_loss}[self.error]
        return {
            "loss": distance(out[0], target),
            "noise_loss": distance(seen.eps.detach(), eps),
            "image_loss": distance(seen.x0.detach(), x0),
        }

    def predict(
        self, network: Network, x: Tensor, rates: Rates[Any], label: Tensor | None
    ) -> Prediction:
        """Noisy x (N, C, H, W); rates floats or (N,)."""
        return self._read(*self._call(network, x, rates.over(x), label))

    def _call(
        self, network: Network, x: Tensor, rates: Rates[Tensor], label: Tensor | None
    ) -> tuple[Tensor, Tensor, Rates[Tensor]]:
        """The network's output for x, with the x and the rates that it saw."""
        scaled, x = rates.scaled, x / rates.c
        given = Rates(*(r.flatten().expand(len(x)) for r in scaled))
        return network(x, given, label), x, scaled

    def _read(self, out: Tensor, x: Tensor, rates: Rates[Tensor]) -> Prediction:
        """What the output says of x = signal * x0 + noise * eps."""
        signal, noise = rates
        if self.prediction == "eps":
            return Prediction((x - noise * out) / signal, out)
        if self.prediction == "x0":
            return Prediction(out, (x - signal * out) / noise)
        return Prediction(signal * x - noise * out, noise * x + signal * out)
