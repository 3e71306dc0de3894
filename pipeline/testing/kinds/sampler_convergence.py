"""Checks of samplers against exact solutions: the order of convergence, and the distribution."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...plugin.contracts import Sampler, Schedule
from ...plugin.values import Rates
from ..context import Check, Context, require
from ..problems.analytic import (
    SCHEDULES,
    GaussianData,
    MixtureData,
    exploding,
    noisy_levels,
    order_of,
    preserving,
)
from ..problems.denoisers import NoDraws, gaussian, mixture, sample_draws, start_noise

STEPS = (64, 128, 256)
"""Numbers of steps between which the order is measured."""
MANY = 200
"""Steps after which a random path's distribution is compared."""
BIAS = 0.05
"""How far off the mean, in deviations, and covariances may be after MANY steps."""


def has_its_declared_order(sampler: Sampler, _: Context) -> str:
    """The error against the exact solution of the ODE falls as it says."""
    if sampler.order is None:
        return ""
    slopes = [_slope(sampler, *problem, gaussian()) for problem in SCHEDULES.items()]
    slopes.append(_slope(sampler, "VP, a mixture", preserving, mixture()))
    return f"{sampler.order} declared, {min(slopes):.2f} measured"


def keeps_its_order_with_uneven_steps(sampler: Sampler, _: Context) -> str:
    """Levels come in any spacing: here every second step is twice as large."""
    if sampler.order is None:
        return ""
    schedules = {"VP, uneven steps": preserving, "VE, uneven steps": exploding}
    slopes = [_slope(sampler, *problem, gaussian(), 2) for problem in schedules.items()]
    return f"{min(slopes):.2f} measured"


def reaches_the_exact_distribution(sampler: Sampler, _: Context) -> str:
    """A random path's mean and covariance at the last level, within chance."""
    if sampler.order is not None:
        return ""
    worst = 0.0
    for name, schedule in SCHEDULES.items():
        data, levels = gaussian(), noisy_levels(schedule, MANY)
        start = data.draw(start_noise(8, 2, 32, 32), levels[0])
        end = sampler(data.denoise, start, levels, sample_draws(8))
        mean, covariance = data.at(levels[-1])
        x = end.transpose(0, 1).flatten(1)
        away, deviation = x - mean[:, None], covariance.diagonal().sqrt()
        products = away[:, None] * away[None]
        worst = max(
            worst,
            _near_exact("mean", x, mean, deviation, name),
            _near_exact("covariance", products, covariance, deviation[:, None] * deviation, name),
        )
    return f"mean and covariance within {worst:.1%} after {MANY} steps"


CHECKS: Sequence[Check] = (
    has_its_declared_order,
    keeps_its_order_with_uneven_steps,
    reaches_the_exact_distribution,
)


def _slope(
    sampler: Sampler,
    name: str,
    schedule: Schedule,
    data: GaussianData | MixtureData,
    unevenness: float = 1,
) -> float:
    """The order that is measured. Raises Wrong unless it is near the declared one."""
    declared, channels = sampler.order or 0, len(data.at(Rates(1.0, 1.0))[0])
    errors, z = [], start_noise(4, channels, 4, 4)
    for count in STEPS:
        levels = noisy_levels(schedule, count, unevenness)
        end = sampler(data.denoise, data.draw(z, levels[0]), levels, NoDraws())
        errors.append(float((end - data.draw(z, levels[-1])).square().mean().sqrt()))
    if errors[-1] < 1e-11:  # exact but for rounding
        return float(declared)
    require(
        errors[-1] < 0.1,
        f"{STEPS[-1]} steps end {errors[-1]:.2g} away from the exact solution of the ODE, which "
        f"more steps do not mend ({name})",
    )
    slope = order_of(errors, STEPS)
    told = ", ".join(f"{error:.1e} at {count}" for error, count in zip(errors, STEPS, strict=True))
    require(
        slope >= declared - 0.2,
        f"order {declared} is declared and {slope:.2f} measured: error {told} steps ({name})",
    )
    return slope


def _near_exact(what: str, values: Tensor, exact: Tensor, scale: Tensor, name: str) -> float:
    """How far the mean of ``values`` is from the exact one, in ``scale``. Raises Wrong if far."""
    mean = values.mean(-1)
    error = values.std(-1) / values.shape[-1] ** 0.5
    require(
        bool(((mean - exact).abs() < 4 * error + BIAS * scale).all()),
        f"after {MANY} steps the {what} is {_list(mean)}, exact is {_list(exact)} ({name})",
    )
    return float(((mean - exact).abs() / scale).max())


def _list(values: Tensor) -> str:
    return ", ".join(f"{v:.3f}" for v in values.flatten().tolist())
