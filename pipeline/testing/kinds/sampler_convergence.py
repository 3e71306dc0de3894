"""Checks of samplers against exact solutions: the order of convergence, and the distribution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from ...plugin.contracts import Denoise, Sampler, Schedule
from ...plugin.draws import Draws
from ...plugin.values import CLEAN, Prediction, Rates
from ..context import Check, Context, require
from ..problems.analytic import (
    SCHEDULES,
    GaussianData,
    Levels,
    MixtureData,
    NotAffine,
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

Paths = Callable[[int], Levels]
"""From a number of steps to the levels."""

STEPS = (64, 128, 256)
"""Numbers of steps between which the order is measured."""
MOST = 1024
"""Up to so many steps a sampler may take to show its order, as where its first step is long."""
FADING = 0.3
"""How far below the declared one the order of the last doubling may be where it is still rising."""
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
ALIKE = 2
"""How many times a variance may be another where a path ends. All built-in samplers have 1; last
steps of lower order, and noise that depends on the number of steps, come to 1.5."""
WORSE = 6
"""Times the error of Euler's method. The worst built-in is at 2.8, third-order UniPC at 8 steps."""


def has_its_declared_order(sampler: Sampler, _: Context) -> str:
    """The error against the exact solution of the ODE falls as it says."""
    if sampler.order is None:
        return ""
    slopes = [
        _slope(sampler, name, gaussian(), partial(noisy_levels, schedule))
        for name, schedule in SCHEDULES.items()
    ]
    slopes.append(_slope(sampler, "VP, a mixture", mixture(), partial(noisy_levels, preserving)))
    return f"{sampler.order} declared, {min(slopes):.2f} measured"


def keeps_its_order_with_uneven_steps(sampler: Sampler, _: Context) -> str:
    """Levels come in any spacing: every second step twice as large, or all of random size."""
    if sampler.order is None:
        return ""
    slopes = [
        _slope(sampler, where, gaussian(), partial(noisy_levels, schedule, sizes=uneven))
        for where, schedule in (("VP, uneven steps", preserving), ("VE, uneven steps", exploding))
    ]
    random = partial(noisy_levels, preserving, sizes=irregular)
    # The constant of the error differs with every count.
    slopes.append(_slope(sampler, "VP, random steps", gaussian(), random, slack=0.5))
    return f"{min(slopes):.2f} measured"


def keeps_its_order_to_the_clean_level(sampler: Sampler, _: Context) -> str:
    """The image at the end is what the exact solution's last noisy level shows of x0."""
    if sampler.order is None:
        return ""
    slope = _slope(
        sampler,
        "VP, to the clean level",
        mixture(),
        lambda count: [*noisy_levels(preserving, count), CLEAN],
    )
    return f"{slope:.2f} measured"


def begins_at_any_level(sampler: Sampler, _: Context) -> str:
    """From the middle of the levels it follows the ODE as from the first, by many steps or one."""
    if sampler.order is None:
        return ""
    slopes = []
    for name, schedule in SCHEDULES.items():

        def half(count: int, schedule: Schedule = schedule) -> Levels:
            return noisy_levels(schedule, count)[count // 2 :]

        slopes.append(_slope(sampler, f"{name}, from the middle", gaussian(), half))
        for first in (16, 32, 62):
            path = noisy_levels(schedule, 64)[first : first + 2]
            _no_worse_than_euler(sampler, path, f"one step from level {first} of 64, {name}")
    return f"{min(slopes):.2f} measured from the middle"


def goes_upwards_if_it_is_of_first_order(sampler: Sampler, _: Context) -> str:
    """From little noise to much it follows the ODE too: inversion runs it so."""
    if sampler.order != 1:
        return ""
    slopes = []
    for name, schedule in SCHEDULES.items():

        def upwards(count: int, schedule: Schedule = schedule) -> Levels:
            return noisy_levels(schedule, count)[::-1]

        slopes.append(_slope(sampler, f"{name}, upwards", gaussian(), upwards))
    return f"{min(slopes):.2f} measured"


def is_no_worse_than_euler_at_few_steps(sampler: Sampler, _: Context) -> str:
    """At 8 to 20 steps the error is that of Euler's method, or little more; usually less."""
    if sampler.order is None:
        return ""
    worst = max(
        _no_worse_than_euler(sampler, noisy_levels(schedule, count), f"{count} steps, {name}")
        for name, schedule in {**SCHEDULES, "VE from sigma 80": karras}.items()
        for count in FEW
    )
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


def its_last_step_is_like_the_others(sampler: Sampler, _: Context) -> str:
    """A level has the same variance where a path ends at it and where a longer one passes it.

    Without chance, as ``has_the_exact_variance``, at few levels, where each step's noise counts.
    """
    if sampler.order is not None:
        return ""
    data, worst = GaussianData([0.7], [[0.5]]), 1.0
    for name, schedule in SCHEDULES.items():
        levels = noisy_levels(schedule, 4)
        for last in (1, 2, 3):
            ends = variance_of(sampler, data, levels[: last + 1])
            passes = variance_of(_passing(sampler), data, levels[: last + 2])
            if ends is None or passes is None:
                return "its path is not affine in its noise, or leaves the levels"
            require(
                1 / ALIKE < ends / passes < ALIKE,
                f"where a path ends at level {last} of 4 the variance is {ends:.3g}, where it goes "
                f"on from there {passes:.3g} ({name}): does the last step add its noise?",
            )
            worst = max(worst, ends / passes, passes / ends)
    return f"variances within a factor of {worst:.3g}"


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
    begins_at_any_level,
    goes_upwards_if_it_is_of_first_order,
    is_no_worse_than_euler_at_few_steps,
    reaches_the_exact_distribution,
    has_the_exact_variance,
    its_last_step_is_like_the_others,
    its_noise_is_normal,
)


def _passing(sampler: Sampler) -> Callable[..., Tensor]:
    """The sampler, stopped where it asks for the last time about the last level but one."""

    def path(denoise: Denoise, x: Tensor, levels: Levels, draws: Draws) -> Tensor:
        seen = []

        def watched(x: Tensor, rates: Rates[float]) -> Prediction:
            if rates not in levels:  # between two levels it may look at x before the noise
                raise NotAffine
            if rates == levels[-2]:
                seen.append(x.clone())  # the next step may be in place
            return denoise(x, rates)

        sampler(watched, x, levels, draws)
        if not seen:
            raise NotAffine
        return seen[-1]

    return path


def _slope(
    sampler: Sampler, where: str, data: GaussianData | MixtureData, paths: Paths, slack: float = 0.2
) -> float:
    """The order that is measured on the paths of STEPS. Raises Wrong unless it is the declared."""
    declared = sampler.order or 0
    steps, errors = STEPS, [_error(sampler, data, paths(count)) for count in STEPS]
    require(
        errors[-1] < 0.1,
        f"{steps[-1]} steps end {errors[-1]:.2g} away from the exact solution of the ODE, which "
        f"more steps do not mend ({where})",
    )
    while True:
        if errors[-1] < 1e-11:  # exact but for rounding
            return float(declared)
        slope = order_of(errors, steps)
        if slope >= declared - slack or steps[-1] >= MOST:
            break
        steps = (*steps[1:], 2 * steps[-1])
        errors = [*errors[1:], _error(sampler, data, paths(steps[-1]))]
    told = ", ".join(f"{error:.1e} at {count}" for error, count in zip(errors, steps, strict=True))
    # Another, smaller error of higher order fades; one of lower order would come forth.
    early, late = (order_of(errors[i : i + 2], steps[i : i + 2]) for i in (0, 1))
    require(
        slope >= declared - slack or late >= max(declared - FADING, early + 0.1),
        f"order {declared} is declared and {slope:.2f} measured: error {told} steps ({where})",
    )
    return slope


def _no_worse_than_euler(sampler: Sampler, path: Levels, where: str) -> float:
    """How many times the error of Euler's method its own is. Raises Wrong where it is too many."""
    own, euler = (_error(s, mixture(), path) for s in (sampler, _euler))
    require(
        own < WORSE * euler,
        f"it ends {own:.2g} away from the exact solution, Euler's method {euler:.2g} ({where}): "
        "are the weights right for large steps?",
    )
    return own / euler


def _error(
    sampler: Sampler | Callable[..., Tensor], data: GaussianData | MixtureData, path: Levels
) -> float:
    """How far the end is from the exact solution, root mean square.

    At the clean level the solution is what the level before it shows of x0.
    """
    z = start_noise(4, len(data.at(Rates(1.0, 1.0))[0]), 4, 4)
    if path[-1] == CLEAN:
        exact = data.denoise(data.draw(z, path[-2]), path[-2]).x0
    else:
        exact = data.draw(z, path[-1])
    end = sampler(data.denoise, data.draw(z, path[0]), path, NoDraws())
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
