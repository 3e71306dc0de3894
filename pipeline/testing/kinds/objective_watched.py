"""The check of the losses of an objective that are there to watch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...plugin.contracts import Objective
from ..context import Context, require
from ..problems.analytic import SCHEDULES
from ..problems.networks import WatchedNetwork, losses, normal_images, predicted, usual_network

WATCHED = {"noise_loss": "eps", "image_loss": "x0"}
"""Their names, and what they are errors of."""


def watched_losses_are_what_their_names_say(objective: Objective, _: Context) -> str:
    """``noise_loss`` is an error of eps and ``image_loss`` one of x0, absolute or squared.

    In a batch of six and in one of 65, with every schedule: what the network was shown tells eps.
    """
    found = set()
    for name, schedule in SCHEDULES.items():
        for count in (6, 65):
            x0, network = normal_images(count=count), WatchedNetwork()
            values = losses(objective, network, x0, schedule)
            for loss in values.keys() & WATCHED:
                found.add(loss)
                errors = _errors(objective, network, x0, WATCHED[loss])
                value, means = float(values[loss]), errors.mean(0).tolist()
                require(
                    any(math.isclose(value, one, rel_tol=1e-6) for one in errors.flatten().tolist())
                    or any(math.isclose(value, mean, rel_tol=1e-6) for mean in means),
                    f"{loss} is {value:.4g}; the mean error of {WATCHED[loss]} is {means[0]:.4g}, "
                    f"squared {means[1]:.4g} ({name}, {count} images)",
                )
    return ", ".join(sorted(found)) or "it has neither"


def _errors(objective: Objective, network: WatchedNetwork, x0: Tensor, part: str) -> Tensor:
    """The mean absolute error and the mean squared one of each call of the network, (calls, 2)."""
    errors = []
    for x, rates in network.shown:
        signal, noise = rates.over(x0)
        truth = {"x0": x0, "eps": (x - signal * x0) / noise}
        off = getattr(predicted(objective, usual_network, x, rates), part) - truth[part]
        errors.append(torch.stack([off.abs().mean(), off.square().mean()]))
    return torch.stack(errors)
