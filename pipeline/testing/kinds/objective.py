"""Checks of objectives: what they predict adds up, and a perfect network has no loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...plugin.contracts import NO_CLASS, Rates
from ...plugin.draws import Draws
from ..core import Check, Context, require, untouched
from ..problems.analytic import SCHEDULES, preserving
from ..problems.networks import (
    Learning,
    Perfect,
    Seen,
    constant,
    draws,
    images,
    losses,
    network,
    pairs,
    plain,
    predicted,
    relative,
)
from ..problems.other_device import on_another_device
from ..same import same

TIMES = torch.tensor([0.0, 0.25, 0.5, 0.8, 0.95, 1.0], dtype=torch.float64)
"""One for each image of a batch."""
LABELS = torch.tensor([3, NO_CLASS, 0, 1, 1, 2])
EXACT = 1e-9
"""Relative; what float64 leaves after the worst division by a small rate."""


def behaviour(objective: Any) -> Any:
    """Its losses, and what it predicts, with some network and three schedules."""
    found: list[Any] = []
    for schedule in SCHEDULES.values():
        values = objective.loss(network, images(), None, schedule, draws())
        found.append({name: value.detach() for name, value in values.items()})
        found.append(tuple(objective.predict(network, images(1), schedule(TIMES), None)))
    return found


def predictions_add_up_to_x(objective: Any, _: Context) -> str:
    """x = signal * x0 + noise * eps, whatever the network says."""
    worst = 0.0
    for name, schedule in SCHEDULES.items():
        x, rates = images(1), schedule(TIMES)
        both: list[Rates[Any]] = [rates, *pairs(rates)]
        for given in both:
            found = predicted(objective, network, x, given)
            signal, noise = given.over(x)
            away = relative(signal * found.x0 + noise * found.eps, x)
            require(
                away < EXACT,
                f"signal * x0 + noise * eps is {away:.2g} away from x ({name}): are x0 and eps of "
                "the unscaled x, and both rates in their places?",
            )
            worst = max(worst, away)
    return f"within {worst:.0e}"


def network_sees_scaled_x_and_rates(objective: Any, _: Context) -> str:
    """x / c and rates / c with c = sqrt(signal² + noise²); rates as tensors (N,)."""
    for name, schedule in SCHEDULES.items():
        x, rates, seen = images(1), schedule(TIMES), Seen()
        predicted(objective, seen, x, rates)
        away = relative(seen.x, x / rates.over(x).c)
        require(away < EXACT, f"predict shows the network x that is not x / c ({name})")
        for part, rate, expected in zip(("signal", "noise"), seen.rates, rates.scaled, strict=True):
            require(
                rate.shape == (len(x),),
                f"the network sees {part} of shape {tuple(rate.shape)}; it should be (N,) ({name})",
            )
            away = relative(rate, expected)
            require(away < EXACT, f"predict shows the network a {part} that is not / c ({name})")
        predicted(objective, seen, x, pairs(rates)[2])
        require(
            all(rate.shape == (len(x),) for rate in seen.rates),
            f"given rates of two floats, the network sees {tuple(seen.rates.noise.shape)}",
        )
        _trained_on_what_it_will_see(objective, name, schedule)
    return "in loss and predict"


def _trained_on_what_it_will_see(objective: Any, name: str, schedule: Any) -> None:
    """In loss: scaled rates of the schedule, and x that is made from x0 and noise with them."""
    x0, seen = images(count=64), Seen()
    objective.loss(seen, x0, None, schedule, draws(64))
    signal, noise = (rate.reshape(-1, 1, 1, 1) for rate in seen.rates)
    off = float((signal**2 + noise**2 - 1).abs().max())
    require(
        off < EXACT,
        f"loss shows the network rates with signal² + noise² up to {off:.2g} from 1: it should see "
        f"rates / c ({name})",
    )
    ends = schedule(torch.tensor([1.0, 0.0], dtype=torch.float64)).scaled.noise
    require(
        float(noise.max()) <= ends[0] + EXACT and float(noise.min()) >= ends[1] - EXACT,
        f"loss trains with rates that the schedule does not have ({name})",
    )
    eps = (seen.x - signal * x0) / noise
    require(
        abs(float(eps.mean())) < 0.1 and abs(float(eps.std()) - 1) < 0.1,
        f"in loss (x / c - signal * x0) / noise has mean {eps.mean():.2f} and deviation "
        f"{eps.std():.2f}; it should be standard normal: is x the mixture by the rates that the "
        f"network sees? ({name})",
    )


def perfect_network_has_no_loss(objective: Any, _: Context) -> str:
    """An output with which predict says the true x0 and eps is what the loss asks for."""
    worst = 0.0
    for name, schedule in SCHEDULES.items():
        x0 = 2 * images()
        perfect = Perfect(objective, x0)
        x = schedule(TIMES).over(x0).signal * x0 + schedule(TIMES).over(x0).noise * images(2)
        said = predicted(objective, perfect, x, schedule(TIMES))
        require(
            relative(said.x0, x0) < 1e-6,
            f"no output of the network makes predict say the true x0 ({name}): what it says should "
            "be affine in the output, and nothing clipped",
        )
        found = losses(objective, perfect, x0, schedule)
        usual = losses(objective, network, x0, schedule)
        left = float(found["loss"]) / float(usual["loss"])
        require(
            abs(left) < 1e-6,
            f"a network that makes predict right keeps {left:.1%} of the loss of some other one "
            f"({name}): loss and predict should mean the same by its output (signs, rates)",
        )
        worst = max(worst, abs(left))
    return f"{worst:.0e} of another network's"


def loss_is_the_one_scalar_to_differentiate(objective: Any, _: Context) -> str:
    """``loss`` finite and with a gradient; the others are to watch, and detached."""
    learning = Learning()
    found = losses(objective, learning, images(), preserving)
    others = [name for name, value in found.items() if name != "loss" and value.requires_grad]
    require(not others, f"{', '.join(others)} can be differentiated: detach what is to watch")
    require(found["loss"].requires_grad, "loss has no gradient: is the network's output detached?")
    found["loss"].backward()  # type: ignore[no-untyped-call]
    for name, weight in learning.named_parameters():
        require(weight.grad is not None, f"no gradient reaches the network's {name}")
        assert weight.grad is not None
        require(bool(weight.grad.isfinite().all()), f"the gradient of the network's {name} is nan")
        require(bool((weight.grad != 0).any()), f"the gradient of the network's {name} is 0")
    return ", ".join(found)


def losses_are_means_over_the_batch(objective: Any, _: Context) -> str:
    """Equal images give the loss of one; where times allow it, others the mean of theirs."""
    image = images(count=1)
    alone = losses(objective, network, image, constant, Draws(0, "train", [0]))
    many = Draws(0, "train", [0] * 4)
    together = losses(objective, network, image.repeat(4, 1, 1, 1), constant, many)
    for name, value in alone.items():
        one, four = float(value), float(together[name])
        require(
            math.isclose(one, four, rel_tol=1e-6, abs_tol=1e-9),
            f"{name} is {one:.4g} for an image and {four:.4g} for four like it: should be a mean",
        )
    x0, seen = images(), Seen()
    whole = losses(objective, seen, x0, preserving)
    noise, parts = seen.rates.noise, []
    for row in range(len(x0)):
        alone = losses(objective, seen, x0[[row]], preserving, Draws(0, "train", [row]))
        parts.append(alone)
        if abs(float(seen.rates.noise[0] - noise[row])) > EXACT:
            return "of equal images; times depend on the batch"
    for name, value in whole.items():
        mean = sum(float(part[name]) for part in parts) / len(parts)
        require(
            math.isclose(float(value), mean, rel_tol=1e-6, abs_tol=1e-9),
            f"{name} is {float(value):.4g}, the mean of the images' own is {mean:.4g}",
        )
    return "of equal images and of different ones"


def times_and_noise_come_from_draws(objective: Any, _: Context) -> str:
    """Every image has its own."""
    x0, seen, again = images(count=1).repeat(6, 1, 1, 1), Seen(), Seen()
    objective.loss(seen, x0, None, preserving, draws())
    require(len(set(seen.rates.noise.tolist())) > 1, "all images of a batch get the same t")
    eps = (seen.x - seen.rates.over(x0).signal * x0) / seen.rates.over(x0).noise
    require(not same(eps[0], eps[1], 1e6), "all images of a batch get the same noise")
    objective.loss(again, x0, None, preserving, Draws(1, "train", range(6)))
    require(not same(seen.rates.noise, again.rates.noise), "t does not depend on draws")
    require(not same(seen.x, again.x), "the noise does not depend on draws")
    return "other draws, other times and noise"


def keeps_images_apart(objective: Any, _: Context) -> str:
    """What it predicts of an image does not depend on the batch."""
    for name, schedule in SCHEDULES.items():
        x, rates = images(1), schedule(TIMES)
        whole = predicted(objective, network, x, rates)
        for row in range(len(x)):
            one = Rates(*(rate[row : row + 1] for rate in rates))
            part = predicted(objective, network, x[row : row + 1], one)
            for what, now, then in zip(("x0", "eps"), part, whole, strict=True):
                away = relative(now, then[row : row + 1])
                require(away < EXACT, f"{what} of an image is {away:.2g} different alone ({name})")
    return "alone as in a batch of 6"


def passes_labels_on(objective: Any, _: Context) -> str:
    """As they are; None as None. One network evaluation for one prediction."""
    for label in (LABELS, None):
        seen = Seen()
        objective.predict(seen, images(), preserving(TIMES), label)
        require(seen.calls == 1, f"predict called the network {seen.calls} times instead of once")
        _passed(seen, label, "predict")
        objective.loss(seen, images(), label, preserving, draws())
        _passed(seen, label, "loss")
    return "labels and None"


def _passed(seen: Seen, label: Tensor | None, where: str) -> None:
    require(
        seen.label is label or (label is not None and same(seen.label, label)),
        f"{where} was given the labels {plain(label)} and the network {plain(seen.label)}",
    )


def keeps_dtype_and_device(objective: Any, _: Context) -> str:
    """Of x and x0; single precision is near double precision."""
    rates, x = preserving(TIMES), images(1)
    exact = predicted(objective, network, x, rates)
    found = predicted(objective, network, x.float(), Rates(*(rate.float() for rate in rates)))
    for what, now, then in zip(("x0", "eps"), found, exact, strict=True):
        require(now.dtype == torch.float32, f"{what} of float32 x is {now.dtype}")
        away = relative(now.double(), then)
        require(away < 1e-3, f"in float32 {what} is {away:.1e} away from that in float64")
    values = objective.loss(network, images().float(), None, preserving, draws())
    wrong = {name: v.dtype for name, v in values.items() if v.dtype != torch.float32}
    require(not wrong, f"of float32 images the losses are {wrong}")

    def elsewhere(device: str) -> Any:
        x, rates = images(1).to(device), Rates(*(rate.to(device) for rate in preserving(TIMES)))
        values = objective.loss(network, x, None, preserving, draws())
        return *objective.predict(network, x, rates, None), *values.values()

    return f"float32, float64; {on_another_device(elsewhere)}"


def changes_nothing_in_place(objective: Any, _: Context) -> str:
    """Neither images, nor labels, nor rates."""
    for schedule in SCHEDULES.values():  # dividing by c in place shows where c is not 1
        x, label, rates = images(), LABELS.clone(), schedule(TIMES)
        with untouched(x0=x, label=label):
            objective.loss(network, x, label, schedule, draws())
        with untouched(x=x, label=label, rates=rates):
            objective.predict(network, x, rates, label)
    return "images, labels and rates stay"


CHECKS: Sequence[Check] = (
    predictions_add_up_to_x,
    network_sees_scaled_x_and_rates,
    perfect_network_has_no_loss,
    loss_is_the_one_scalar_to_differentiate,
    losses_are_means_over_the_batch,
    times_and_noise_come_from_draws,
    keeps_images_apart,
    passes_labels_on,
    keeps_dtype_and_device,
    changes_nothing_in_place,
)
