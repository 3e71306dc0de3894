"""Checks of samplers: where they end, what they cost, and that they change nothing else.

Those of the declared order and of a random path's distribution are in ``sampler_convergence``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...plugin.contracts import Sampler, Schedule
from ...plugin.draws import Draws
from ...plugin.values import CLEAN, Prediction, Rates
from ..context import Check, Context, Wrong, require
from ..problems.analytic import (
    SCHEDULES,
    GaussianData,
    Levels,
    karras,
    noisy_levels,
    preserving,
    widest,
)
from ..problems.denoisers import (
    NoDraws,
    RoundedDraws,
    WatchedDenoiser,
    mixture,
    sample_draws,
    squash,
    start_noise,
)
from ..problems.forms import forms
from ..problems.other_device import on_another_device
from ..problems.turns import in_turn
from ..same import same, untouched
from . import sampler_convergence

IMAGE = 0.7
"""The one image of data without variance."""
MANY = 400
"""Steps in which a constant x0 has to be exact; in few, a midpoint in log sigma is not."""
EXTREMES = {"VE from sigma 80": karras, "the widest VP": widest}
"""Schedules whose lowest level has hardly any noise."""
SHAPES = ((3, 5, 4, 20), (2, 8, 130, 1), (1, 2, 1, 70))
"""Shapes of batches; their pixels have to come out as the same pixels in one row do."""
FAR = (50.0, -2000.0)
"""Means of data far from 0."""
COUNTS = (1, 2, 3, 4, 5, 8, 13, 20, 21, 33)
"""Numbers of noisy levels: the smallest, even and odd ones, and more than usual."""


def behaviour(sampler: Sampler) -> object:
    """Where it gets on a mixture, to a noisy and to the clean level, and what it declares."""
    paths = [
        levels
        for schedule in (preserving, karras)
        for levels in (noisy_levels(schedule, 7), [*noisy_levels(schedule, 4), CLEAN])
    ]
    x = start_noise(3, 1, 2, 3)
    ends = in_turn(
        lambda levels: sampler(mixture().denoise, x * levels[0].c, levels, sample_draws(3)), paths
    )
    return ends, sampler.order, [sampler.nfe(n) for n in (1, 4, 10)]


def costs_what_it_declares(sampler: Sampler, _: Context) -> str:
    """``nfe(n)`` is what n noisy levels and the clean one cost."""
    for count in (*COUNTS, 10, 50, 100, 1000):
        denoise = WatchedDenoiser(mixture().denoise)
        _end(sampler, denoise, _to_clean(preserving, count))
        declared = sampler.nfe(count)
        require(
            len(denoise.said) == declared,
            f"nfe({count}) says {declared} network evaluations; {count} noisy levels and the clean "
            f"one took {len(denoise.said)}",
        )
    return f"nfe(10) = {sampler.nfe(10)}"


def ends_in_the_last_x0(sampler: Sampler, _: Context) -> str:
    """A step to the clean level ends there, whatever the number of steps, and is finite."""
    for name, schedule in {**SCHEDULES, "VE from sigma 80": karras}.items():
        for count in COUNTS:
            denoise, where = WatchedDenoiser(mixture().denoise), f"{name}, {count} steps"
            end = _end(sampler, denoise, _to_clean(schedule, count))
            require(bool(end.isfinite().all()), f"the image is not finite ({where})")
            require(bool(denoise.said), f"it takes no step to the clean level ({where})")
            away = float((end - denoise.said[-1].x0).abs().max())
            require(
                away < 1e-9,
                f"after the step to the clean level x is {away:.2g} away from the last x0: is the "
                f"last step taken, and does it end there? ({where})",
            )
    return f"for {', '.join(map(str, COUNTS[:-1]))} and {COUNTS[-1]} steps"


def arrives_at_the_last_level(sampler: Sampler, _: Context) -> str:
    """Where all images are one, x keeps its eps, and its rates are those of the last level."""
    if sampler.order is None:
        return ""
    for name, schedule in {**SCHEDULES, **EXTREMES}.items():
        levels, eps = noisy_levels(schedule, MANY), start_noise(4, 1, 3, 3)
        path = [rates.signal * IMAGE + rates.noise * eps for rates in levels]
        end = sampler(_one_image, path[0], levels, NoDraws())
        away = [float((end - x).abs().max()) for x in path]
        nearest = away.index(min(away))
        close = float((path[-2] - path[-1]).abs().max()) / 10
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


def draws_if_and_only_if_it_has_no_order(sampler: Sampler, _: Context) -> str:
    """A deterministic sampler has an order and needs no draws; a random one hears them."""
    levels, denoise = _to_clean(karras, 10), mixture().denoise
    x = start_noise(4, 1, 3, 3) * levels[0].c
    if sampler.order is not None:
        require(sampler.order >= 1, f"order {sampler.order}: should be at least 1, or None")
        sampler(denoise, x, levels, NoDraws())
        return "deterministic"
    ends = [sampler(denoise, x, levels, Draws(seed, "sample", range(4))) for seed in (0, 1)]
    require(
        not same(ends[0], ends[1]),
        "order None says that it is random, but other draws change nothing: a deterministic "
        "sampler declares its order, a random one takes its noise from draws",
    )
    return "random, by draws"


def keeps_images_apart(sampler: Sampler, _: Context) -> str:
    """An image does not depend on the size of the batch, nor on who else is in it."""
    size = 131
    for count in (6, 25):
        levels = _to_clean(preserving, count)
        x = start_noise(size, 1, 3, 3) * levels[0].c
        x[3] *= 3  # as another prompt or a brighter picture would be
        whole = sampler(mixture().denoise, x, levels, Draws(0, "sample", range(size)))
        for rows in ([0], [3], [size - 1, 2, 5, 17, 1], [9, 24], [4, *range(6, size)]):
            part = sampler(mixture().denoise, x[rows], levels, Draws(0, "sample", rows))
            away = float((part - whole[rows]).abs().max())
            require(
                away < 1e-9,
                f"images {rows} of a batch of {size} come out {away:.2g} different without the "
                f"others after {count} steps: rows mix, or noise depends on the batch",
            )
        flat = sampler(
            mixture().denoise, x.flatten(2)[:, None], levels, Draws(0, "sample", range(size))
        )
        away = float((flat.reshape(x.shape) - whole).abs().max())
        require(
            away < 1e-9,
            f"the same pixels come out {away:.2g} different as images of 1×9 than as 3×3: where a "
            "pixel stands is for the network to see",
        )
        for shape in SHAPES:
            start = start_noise(*shape) * levels[0].c
            pixels = start.flatten(1)[:, None, None]
            ends = [
                sampler(mixture().denoise, one, levels, Draws(0, "sample", range(len(one))))
                for one in (start, pixels)
            ]
            away = float((ends[0].flatten() - ends[1].flatten()).abs().max())
            require(
                away < 1e-9,
                f"images {shape[1:]} come out {away:.2g} different from the same pixels in a row",
            )
        for form, given in forms(x).items():
            end = sampler(mixture().denoise, given, levels, Draws(0, "sample", range(size)))
            away = float((end - whole).abs().max())
            require(away < 1e-9, f"as {form} the same x comes out {away:.2g} different")
    return f"alone as in a batch of {size}"


def clips_nothing(sampler: Sampler, _: Context) -> str:
    """Data that lie far from 0 come out as the same data around 0, as far away."""
    for name, schedule in SCHEDULES.items():
        levels, z = noisy_levels(schedule, 20), start_noise(4, 1, 3, 3)

        def end(mean: float, z: Tensor = z, levels: Levels = levels) -> Tensor:
            data = GaussianData([mean], [[0.25]])
            x = sampler(data.denoise, data.draw(z, levels[0]), levels, sample_draws(4))
            return x - levels[-1].signal * mean

        for mean in FAR:
            away = float((end(0.0) - end(mean)).abs().max())
            require(
                away < 0.1,
                f"images around {mean:g} come out {away:.3g} off: a sampler knows no range of "
                f"values and clips nothing ({name})",
            )
    return f"values around {' and '.join(f'{mean:g}' for mean in FAR)} come out right"


def keeps_shape_and_dtype(sampler: Sampler, _: Context) -> str:
    """The answer has those of x; single precision is double precision, rounded."""
    worst, levels = 0.0, _to_clean(preserving, 6)
    for path in (levels, levels[:-1], levels[:2], levels[-2:]):
        x = (start_noise(2, 3, 4, 5) * path[0].c).float()
        ends = []
        for dtype in (torch.float32, torch.float64):
            denoise = WatchedDenoiser(squash, RoundedDraws(0, "sample", range(2)), dtype=dtype)
            end = sampler(denoise, x.to(dtype), path, denoise.draws)
            where = "the clean level" if path[-1] == CLEAN else "a noisy one"
            require(end.dtype == dtype, f"x of {dtype} becomes {end.dtype} at {where}")
            require(end.shape == x.shape, f"x {tuple(x.shape)} becomes {tuple(end.shape)}")
            ends.append(end.double())
        away = float((ends[0] - ends[1]).abs().max())
        require(away < 1e-3, f"in float32 images are {away:.1e} away from those in float64")
        worst = max(worst, away)
    return f"float32 within {worst:.0e} of float64"


def keeps_the_device(sampler: Sampler, _: Context) -> str:
    """The answer is where x is."""
    levels = _to_clean(preserving, 3)
    return on_another_device(
        lambda device: sampler(
            squash, torch.ones(2, 1, 2, 2, device=device), levels, sample_draws(2)
        )
    )


def changes_nothing_in_place(sampler: Sampler, _: Context) -> str:
    """Neither x, nor the levels, nor what the network said is changed."""
    levels = _to_clean(preserving, 5)
    x = start_noise(2, 1, 3, 3) * levels[0].c
    given: list[Tensor] = []
    copies: list[Tensor] = []

    def denoise(x: Tensor, rates: Rates[float]) -> Prediction:
        said = squash(x, rates)
        given.extend((x, *said))
        copies.extend(part.clone() for part in (x, *said))
        return said

    with untouched(x=x, levels=levels):
        sampler(denoise, x, levels, sample_draws(2))
    require(same(given[::3], copies[::3]), "it changes in place the x that it gave the network")
    require(same(given, copies), "it changes in place what the network said")
    return "x, levels and predictions stay"


CHECKS: Sequence[Check] = (
    costs_what_it_declares,
    ends_in_the_last_x0,
    arrives_at_the_last_level,
    *sampler_convergence.CHECKS,
    draws_if_and_only_if_it_has_no_order,
    keeps_images_apart,
    clips_nothing,
    keeps_shape_and_dtype,
    keeps_the_device,
    changes_nothing_in_place,
)


def _one_image(x: Tensor, rates: Rates[float]) -> Prediction:
    """The exact denoiser of data that are one image."""
    x0 = torch.full_like(x, IMAGE)
    return Prediction(x0, (x - rates.signal * x0) / rates.noise)


def _end(sampler: Sampler, denoise: WatchedDenoiser, levels: Levels) -> Tensor:
    x = start_noise(4, 1, 3, 3) * levels[0].c
    end: object = sampler(denoise, x, levels, denoise.draws)
    if not isinstance(end, Tensor):
        raise Wrong(f"it returned {type(end).__name__}, not a tensor")
    return end


def _to_clean(schedule: Schedule, count: int) -> Levels:
    """So many noisy levels, and the clean one."""
    return [*noisy_levels(schedule, count)[:count], CLEAN]
