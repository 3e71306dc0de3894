"""Checks of samplers: exact answers where the data's denoiser is known, declared order and cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...plugin.contracts import CLEAN, Prediction, Rates
from ...plugin.draws import Draws
from ..core import Check, Context, require, untouched
from ..problems.analytic import (
    SCHEDULES,
    GaussianData,
    exploding,
    karras,
    noisy_levels,
    order_of,
    preserving,
)
from ..problems.denoisers import Network, NoDraws, Rounded, draws, gaussian, mixture, normal, squash
from ..problems.other_device import on_another_device
from ..same import same

STEPS = (64, 128, 256)
"""Where the order is measured."""
MANY = 200
"""Steps after which a random path's distribution is compared."""
BIAS = 0.05
"""Of the mean in deviations, and of covariances, after MANY steps."""


def behaviour(sampler: Any) -> Any:
    """Where it gets on a mixture, to a noisy and to the clean level, and what it declares."""
    ends = []
    for schedule in (preserving, karras):
        for levels in (noisy_levels(schedule, 7), [*noisy_levels(schedule, 4), CLEAN]):
            x = normal(3, 1, 2, 3) * levels[0].c
            ends.append(sampler(mixture().denoise, x, levels, draws(3)))
    return ends, sampler.order, [sampler.nfe(n) for n in (1, 4, 10)]


def costs_what_it_declares(sampler: Any, _: Context) -> str:
    """nfe(n) is what n noisy levels and the clean one cost."""
    for count in (1, 2, 3, 5, 10):
        network = Network(mixture().denoise)
        _run(sampler, network, _to_clean(preserving, count))
        said = sampler.nfe(count)
        require(
            len(network.seen) == said,
            f"nfe({count}) says {said} network evaluations; {count} noisy levels and the clean "
            f"one took {len(network.seen)}",
        )
    return f"nfe(10) = {sampler.nfe(10)}"


def ends_in_the_last_x0(sampler: Any, _: Context) -> str:
    """A step to the clean level does, finite, whatever the number of steps."""
    for name, schedule in {**SCHEDULES, "VE from sigma 80": karras}.items():
        for count in (1, 2, 3, 5):
            network, place = Network(mixture().denoise), f"{name}, {count} steps"
            end = _run(sampler, network, _to_clean(schedule, count))
            require(bool(end.isfinite().all()), f"the image is not finite ({place})")
            require(bool(network.seen), f"it takes no step to the clean level ({place})")
            away = float((end - network.seen[-1].x0).abs().max())
            require(
                away < 1e-9,
                f"after the step to the clean level x is {away:.2g} away from the last x0: is the "
                f"last step taken, and does it end there? ({place})",
            )
    return "for 1, 2, 3 and 5 steps"


def arrives_at_the_last_level(sampler: Any, _: Context) -> str:
    """Where all images are one, x keeps its eps, and its rates are those of the last level."""
    if sampler.order is None:
        return ""
    for name, schedule in SCHEDULES.items():
        levels, image = noisy_levels(schedule, 20), 0.7
        eps = normal(4, 1, 3, 3)
        at = [rates.signal * image + rates.noise * eps for rates in levels]

        def denoise(x: Tensor, rates: Rates[float], image: float = image) -> Prediction:
            x0 = torch.full_like(x, image)
            return Prediction(x0, (x - rates.signal * x0) / rates.noise)

        end = sampler(denoise, at[0], levels, NoDraws())
        away = [float((end - x).abs().max()) for x in at]
        nearest = away.index(min(away))
        close = float((at[-2] - at[-1]).abs().max()) / 10
        require(
            nearest == len(levels) - 1 or away[nearest] > close,
            f"of {len(levels)} levels x ends at number {nearest + 1}, not at the last one ({name})",
        )
        require(
            away[-1] < close,
            f"with a constant x0, x at the last level is {away[-1]:.2g} off: do signal and noise "
            f"have their places? ({name})",
        )
    return "exact for a constant x0"


def has_its_declared_order(sampler: Any, _: Context) -> str:
    """The error against the exact solution of the ODE falls as it says."""
    if sampler.order is None:
        return ""
    slopes = [_slope(sampler, schedule, gaussian(), 1) for schedule in SCHEDULES.items()]
    slopes.append(_slope(sampler, ("VP, a mixture", preserving), mixture(), 1))
    return f"{sampler.order} declared, {min(slopes):.2f} measured"


def keeps_its_order_with_uneven_steps(sampler: Any, _: Context) -> str:
    """Levels come in any spacing: here every second step is twice as large."""
    if sampler.order is None:
        return ""
    schedules = {"VP, uneven steps": preserving, "VE, uneven steps": exploding}
    slopes = [_slope(sampler, schedule, gaussian(), 2) for schedule in schedules.items()]
    return f"{min(slopes):.2f} measured"


def reaches_the_exact_distribution(sampler: Any, _: Context) -> str:
    """A random path's mean and covariance at the last level, within chance."""
    if sampler.order is not None:
        return ""
    worst = 0.0
    for name, schedule in SCHEDULES.items():
        data, levels = gaussian(), noisy_levels(schedule, MANY)
        start = data.draw(normal(8, 2, 32, 32), levels[0])
        end = sampler(data.denoise, start, levels, draws(8))
        mean, covariance = data.at(levels[-1])
        away = end.transpose(0, 1).flatten(1) - mean[:, None]
        deviation = covariance.diagonal().sqrt()
        products = away[:, None] * away[None]
        for what, sample, exact, scale in (
            ("mean", away, 0 * mean, deviation),
            ("covariance", products, covariance, deviation[:, None] * deviation),
        ):
            found = sample.mean(-1)
            error = sample.std(-1) / sample.shape[-1] ** 0.5
            require(
                bool(((found - exact).abs() < 4 * error + BIAS * scale).all()),
                f"after {MANY} steps the {what} is {_list(found + (what == 'mean') * mean)}, "
                f"exact is {_list(exact + (what == 'mean') * mean)} ({name})",
            )
            worst = max(worst, float(((found - exact).abs() / scale).max()))
    return f"mean and covariance within {worst:.1%} after {MANY} steps"


def draws_if_and_only_if_it_has_no_order(sampler: Any, _: Context) -> str:
    """A deterministic sampler has an order and needs no draws; a random one hears them."""
    levels, network = _to_clean(karras, 10), mixture().denoise
    x = normal(4, 1, 3, 3) * levels[0].c
    if sampler.order is not None:
        require(sampler.order >= 1, f"order {sampler.order}: should be at least 1, or None")
        sampler(network, x, levels, NoDraws())
        return "deterministic"
    ends = [sampler(network, x, levels, Draws(seed, "sample", range(4))) for seed in (0, 1)]
    require(
        not same(ends[0], ends[1]),
        "order None says that it is random, but other draws change nothing: a deterministic "
        "sampler declares its order, a random one takes its noise from draws",
    )
    return "random, by draws"


def keeps_images_apart(sampler: Any, _: Context) -> str:
    """An image does not depend on the size of the batch, nor on who else is in it."""
    levels = _to_clean(preserving, 6)
    x = normal(4, 1, 3, 3) * levels[0].c
    whole = sampler(mixture().denoise, x, levels, Draws(0, "sample", range(4)))
    for rows in ([0], [2], [3, 1]):
        part = sampler(mixture().denoise, x[rows], levels, Draws(0, "sample", rows))
        away = float((part - whole[rows]).abs().max())
        require(
            away < 1e-9,
            f"images {rows} of a batch of 4 come out {away:.2g} different alone: rows mix, or "
            "noise depends on the batch",
        )
    return "alone as in a batch of 4"


def clips_nothing(sampler: Any, _: Context) -> str:
    """Data that lie 50 away from 0 come out as the same data around 0, 50 away."""
    for name, schedule in SCHEDULES.items():
        levels, z = noisy_levels(schedule, 20), normal(4, 1, 3, 3)
        ends = []
        for shift in (0.0, 50.0):
            data = GaussianData([shift], [[0.25]])
            end = sampler(data.denoise, data.draw(z, levels[0]), levels, draws(4))
            ends.append(end - levels[-1].signal * shift)
        away = float((ends[0] - ends[1]).abs().max())
        require(
            away < 0.1,
            f"images around 50 come out {away:.3g} off: a sampler knows no range of values and "
            f"clips nothing ({name})",
        )
    return "values around 50 come out right"


def keeps_shape_and_dtype(sampler: Any, _: Context) -> str:
    """Of x; single precision is double precision, rounded."""
    levels = _to_clean(preserving, 6)
    x = (normal(2, 3, 4, 5) * levels[0].c).float()
    ends = []
    for dtype in (torch.float32, torch.float64):
        network = Network(squash, Rounded(0, "sample", range(2)))
        end = sampler(network, x.to(dtype), levels, network.draws)
        require(end.dtype == dtype, f"x of {dtype} becomes {end.dtype}")
        require(end.shape == x.shape, f"x {tuple(x.shape)} becomes {tuple(end.shape)}")
        ends.append(end.double())
    away = float((ends[0] - ends[1]).abs().max())
    require(away < 1e-3, f"in float32 images are {away:.1e} away from those in float64")
    return f"float32 within {away:.0e} of float64"


def keeps_the_device(sampler: Any, _: Context) -> str:
    """Of x."""
    levels = _to_clean(preserving, 3)
    return on_another_device(
        lambda device: (sampler(squash, torch.ones(2, 1, 2, 2, device=device), levels, draws(2)),)
    )


def changes_nothing_in_place(sampler: Any, _: Context) -> str:
    """Neither x, nor the levels, nor what the network said."""
    levels = _to_clean(preserving, 5)
    x = normal(2, 1, 3, 3) * levels[0].c
    kept: list[tuple[Any, Any]] = []

    def denoise(x: Tensor, rates: Rates[float]) -> Prediction:
        found = squash(x, rates)
        kept.append(((x, *found), tuple(part.clone() for part in (x, *found))))
        return found

    with untouched(x=x, levels=levels):
        sampler(denoise, x, levels, draws(2))
    for now, before in kept:
        require(same(now[0], before[0]), "it changes in place the x that it gave the network")
        require(same(now[1:], before[1:]), "it changes in place what the network said")
    return "x, levels and predictions stay"


def _slope(
    sampler: Any, named: tuple[str, Callable[[Tensor], Rates[Tensor]]], data: Any, uneven: float
) -> float:
    """The order that is measured. Raises Wrong unless it is near the declared one."""
    name, schedule = named
    errors, z = [], normal(4, len(data.at(Rates(1.0, 1.0))[0]), 4, 4)
    for count in STEPS:
        levels = noisy_levels(schedule, count, uneven)
        end = sampler(data.denoise, data.draw(z, levels[0]), levels, NoDraws())
        errors.append(float((end - data.draw(z, levels[-1])).square().mean().sqrt()))
    if errors[-1] < 1e-11:  # exact but for rounding
        return float(sampler.order)
    require(
        errors[-1] < 0.1,
        f"{STEPS[-1]} steps end {errors[-1]:.2g} away from the exact solution of the ODE, which "
        f"more steps do not mend ({name})",
    )
    slope = order_of(errors, STEPS)
    told = ", ".join(f"{error:.1e} at {count}" for error, count in zip(errors, STEPS, strict=True))
    require(
        slope >= sampler.order - 0.2,
        f"order {sampler.order} is declared and {slope:.2f} measured: error {told} steps ({name})",
    )
    return slope


def _run(sampler: Any, network: Network, levels: list[Rates[float]]) -> Tensor:
    x = normal(4, 1, 3, 3) * levels[0].c
    end = sampler(network, x, levels, network.draws)
    require(isinstance(end, Tensor), f"it returned {type(end).__name__}, not a tensor")
    return end  # type: ignore[no-any-return]


def _to_clean(schedule: Callable[[Tensor], Rates[Tensor]], count: int) -> list[Rates[float]]:
    return [*noisy_levels(schedule, count)[:count], CLEAN]


def _list(values: Tensor) -> str:
    return ", ".join(f"{v:.3f}" for v in values.flatten().tolist())


CHECKS: Sequence[Check] = (
    costs_what_it_declares,
    ends_in_the_last_x0,
    arrives_at_the_last_level,
    has_its_declared_order,
    keeps_its_order_with_uneven_steps,
    reaches_the_exact_distribution,
    draws_if_and_only_if_it_has_no_order,
    keeps_images_apart,
    clips_nothing,
    keeps_shape_and_dtype,
    keeps_the_device,
    changes_nothing_in_place,
)
