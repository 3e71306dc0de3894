"""What objectives do alike: call the network on noisy images, and compare its output."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from pipeline import Network, Prediction, Rates

Error = Literal["mae", "mse"]


class Seen(NamedTuple):
    """The network's output, with the x / c and the scaled rates that it was given."""

    out: Tensor
    x: Tensor
    rates: Rates[Tensor]
    """(N, 1, 1, 1), or (1, 1, 1, 1) for one pair of rates."""


def call(
    network: Network, x: Tensor, rates: Rates[float] | Rates[Tensor], label: Tensor | None
) -> Seen:
    """Call the network on noisy x (N, C, H, W); rates floats or (N,), neither is scaled yet."""
    over = rates.over(x)
    scaled, x = over.scaled, x / over.c
    given = Rates(*(r.flatten().expand(len(x)) for r in scaled))
    return Seen(network(x, given, label), x, scaled)


def noisy(x0: Tensor, eps: Tensor, rates: Rates[Tensor]) -> Tensor:
    """signal * x0 + noise * eps, rates (N,)."""
    signal, noise = rates.over(x0)
    return signal * x0 + noise * eps


def losses(
    error: Error,
    out: Tensor,
    target: Tensor,
    weights: Tensor | None,
    predicted: Prediction,
    truth: Prediction,
) -> dict[str, Tensor]:
    """Scalars: ``loss``, the mean error, each image's weighted by weights (N,), and two to watch.

    ``noise_loss`` and ``image_loss`` are the errors of eps and x0, neither weighted nor
    differentiated.
    """
    distance = {"mae": l1_loss, "mse": mse_loss}[error]
    if weights is None:
        loss = distance(out, target)
    else:
        loss = (weights * distance(out, target, reduction="none").mean((1, 2, 3))).mean()
    return {
        "loss": loss,
        "noise_loss": distance(predicted.eps.detach(), truth.eps),
        "image_loss": distance(predicted.x0.detach(), truth.x0),
    }
