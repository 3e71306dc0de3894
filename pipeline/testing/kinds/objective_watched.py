"""The check of the losses of an objective that are there to watch."""

from __future__ import annotations

import math

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
            signal, noise = network.rates.over(x0)
            truth = {"x0": x0, "eps": (network.x - signal * x0) / noise}
            said = predicted(objective, usual_network, network.x, network.rates)._asdict()
            for loss, part in WATCHED.items():
                if loss in values:
                    found.add(loss)
                    expected = _errors(said[part] - truth[part])
                    value = float(values[loss])
                    require(
                        any(math.isclose(value, one, rel_tol=1e-6) for one in expected),
                        f"{loss} is {value:.4g}; the mean error of {part} is {expected[0]:.4g}, "
                        f"squared {expected[1]:.4g} ({name}, {count} images)",
                    )
    return ", ".join(sorted(found)) or "it has neither"


def _errors(difference: Tensor) -> tuple[float, float]:
    return float(difference.abs().mean()), float(difference.square().mean())
