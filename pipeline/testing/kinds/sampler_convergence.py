"""Checks of samplers against exact solutions: the order of convergence, and the distribution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ...plugin.contracts import Denoise, Sampler, Schedule
from ...plugin.draws import Draws
from ...plugin.values import CLEAN, Rates
from ..context import Check, Context, require
from ..problems.analytic import (
    SCHEDULES,
    GaussianData,
    MixtureData,
    Sizes,
    even,
    exploding,
    irregular,
    karras,
    noisy_levels,
    order_of,
    preserving,
    uneven,
    variance_of,
)
from ..problems.chance import require_normal
from ..problems.denoisers import NoDraws, gaussian, mixture, sample_draws, start_noise

STEPS = (64, 128, 256)
"""Numbers of steps between which the order is measured."""
MANY = 200
"""Steps after which a random path's distribution is compared."""
BIAS = 0.05
"""How far off the mean, in deviations, and covariances may be after MANY steps."""
EXTRAPOLATED = (50, 100, 200)
"""Numbers of steps from which the variance of infinitely many is extrapolated."""
EXCESS = 0.02
"""How far off that variance may be. Built-in samplers are within 0.0011; ``heun`` with the paper's
S_noise of 1.007 adds 0.014 on purpose."""
FEW = (8, 12, 20)
"""Numbers of steps at which large steps have to be right too."""
WORSE = 6
"""Times the error of Euler's method. The worst built-in is at 2.8, third-order UniPC at 8 steps."""


def has_its_declared_order(sampler: Sampler, _: Context) -> str:
    """The error against the exact solution of the ODE falls as it says."""
    if sampler.order is None:
        return ""
    slopes = [_slope(sampler, *problem, gaussian()) for problem in SCHEDULES.items()]
    slopes.append(_slope(sampler, "VP, a mixture", preserving, mixture()))
    return f"{sampler.order} declared, {min(slopes):.2f} measured"


def keeps_its_order_with_uneven_steps(sampler: Sampler, _: Context) -> str:
    """Levels come in any spacing: every second step twice as large, or all of random size."""
    if sampler.order is None:
        return ""
    schedules = {"VP, uneven steps": preserving, "VE, uneven steps": exploding}
    slopes = [_slope(sampler, *problem, gaussian(), uneven) for problem in schedules.items()]
    random = "VP, random steps", preserving, gaussian(), irregular
    slopes.append(_slope(sampler, *random, slack=0.5))  # the constant differs with every count
    return f"{min(slopes):.2f} measured"


def keeps_its_order_to_the_clean_level(sampler: Sampler, _: Context) -> str:
    """The image at the end is what the exact solution's last noisy level shows of x0."""
    if sampler.order is None:
        return ""
    problem = "VP, to the clean level", preserving, mixture()
    return f"{_slope(sampler, *problem, clean=True):.2f} measured"


def is_no_worse_than_euler_at_few_steps(sampler: Sampler, _: Context) -> str:
    """At 8 to 20 steps the error is that of Euler's method, or little more; usually less."""
    if sampler.order is None:
        return ""
    worst, data = 0.0, mixture()
    for name, schedule in {**SCHEDULES, "VE from sigma 80": karras}.items():
        for count in FEW:
            own, euler = (_error(s, schedule, count, data) for s in (sampler, _euler))
            require(
                own < WORSE * euler,
                f"{count} steps end {own:.2g} away from the exact solution, those of Euler "
                f"{euler:.2g} ({name}): are the weights right for large steps?",
            )
            worst = max(worst, own / euler)
    return f"at most {worst:.2f} times the error of Euler's method"


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


def has_the_exact_variance(sampler: Sampler, _: Context) -> str:
    """What its steps' noise adds up to, without chance, in the limit of many steps.

    On data whose denoiser is affine a path is affine in its noise: the variance is known exactly;
    that of 50, 100 and 200 steps is extrapolated to infinitely many (Richardson). Noise that is not
    normal, and a path that is not affine in it, are left to ``reaches_the_exact_distribution``.
    """
    if sampler.order is not None:
        return ""
    data, worst = GaussianData([0.7], [[0.5]]), 0.0
    for name, schedule in SCHEDULES.items():
        off = []
        for count in EXTRAPOLATED:
            levels = noisy_levels(schedule, count)
            variance = variance_of(sampler, data, levels)
            if variance is None:
                return "its path is not affine in its noise"
            off.append(variance / data.at(levels[-1])[1].item() - 1)
        limit = (8 * off[2] - 6 * off[1] + off[0]) / 3
        require(
            abs(limit) < EXCESS,
            f"with more and more steps the variance at the last level nears {1 + limit:.4f} of the "
            f"exact one ({name}): is the noise of each step as large as what the step takes away?",
        )
        worst = max(worst, abs(limit))
    return f"within {worst:.2%} in the limit"


def its_noise_is_normal(sampler: Sampler, _: Context) -> str:
    """What one step adds, of many images that begin alike and whose denoiser is affine."""
    if sampler.order is not None:
        return ""
    told = []
    for name, schedule in SCHEDULES.items():
        now, then = noisy_levels(schedule, 20)[9:11]
        start = torch.full((64, 1, 16, 16), 0.4, dtype=torch.float64)
        data = GaussianData([0.7], [[0.5]])
        end = sampler(data.denoise, start, [now, then], sample_draws(64))
        if float(end.std()) > 1e-6:
            told.append(require_normal(end, f"the noise of a step ({name})", standard=False))
    return f"distribution functions within {max(told)}" if told else "no noise in one step"


CHECKS: Sequence[Check] = (
    has_its_declared_order,
    keeps_its_order_with_uneven_steps,
    keeps_its_order_to_the_clean_level,
    is_no_worse_than_euler_at_few_steps,
    reaches_the_exact_distribution,
    has_the_exact_variance,
    its_noise_is_normal,
)


def _slope(
    sampler: Sampler,
    name: str,
    schedule: Schedule,
    data: GaussianData | MixtureData,
    sizes: Sizes = even,
    clean: bool = False,
    slack: float = 0.2,
) -> float:
    """The order that is measured. Raises Wrong unless it is near the declared one."""
    declared = sampler.order or 0
    errors = [_error(sampler, schedule, count, data, sizes, clean) for count in STEPS]
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
        slope >= declared - slack,
        f"order {declared} is declared and {slope:.2f} measured: error {told} steps ({name})",
    )
    return slope


def _error(
    sampler: Sampler | Callable[..., Tensor],
    schedule: Schedule,
    count: int,
    data: GaussianData | MixtureData,
    sizes: Sizes = even,
    clean: bool = False,
) -> float:
    """How far the end is from the exact solution, root mean square.

    With ``clean`` the clean level follows, and the solution is what the last noisy one shows of x0.
    """
    z, levels = (
        start_noise(4, len(data.at(Rates(1.0, 1.0))[0]), 4, 4),
        noisy_levels(schedule, count, sizes),
    )
    exact = data.draw(z, levels[-1])
    if clean:
        exact = data.denoise(exact, levels[-1]).x0
    path = [*levels, CLEAN] if clean else levels
    end = sampler(data.denoise, data.draw(z, levels[0]), path, NoDraws())
    return float((end - exact).square().mean().sqrt())


def _euler(denoise: Denoise, x: Tensor, levels: Sequence[Rates[float]], draws: Draws) -> Tensor:
    """Euler's method in sigma, which is DDIM: Song et al. 2021, arXiv:2010.02502, eq. 13."""
    for now, then in pairwise(levels):
        seen = denoise(x, now)
        x = then.signal * seen.x0 + then.noise * seen.eps
    return x


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
