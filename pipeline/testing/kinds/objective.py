"""Checks of objectives: what they predict adds up, and a perfect network has no loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product

import torch
from torch import Tensor

from ...plugin.contracts import Objective, Schedule
from ...plugin.draws import Draws
from ...plugin.values import NO_CLASS, Rates
from ..context import Check, Context, require
from ..problems.analytic import SCHEDULES, preserving
from ..problems.chance import require_normal
from ..problems.networks import (
    AffineNetwork,
    PerfectNetwork,
    WatchedNetwork,
    constant_rates,
    float_rates,
    losses,
    normal_images,
    plain_labels,
    predicted,
    relative_difference,
    train_draws,
    usual_network,
)
from ..problems.other_device import on_another_device
from ..problems.turns import in_turn
from ..same import same, untouched
from .objective_watched import watched_losses_are_what_their_names_say

TIMES = torch.tensor([0.0, 0.25, 0.5, 0.8, 0.95, 1.0], dtype=torch.float64)
"""A time for each image of a batch."""
SMALL = (0.3, 0.1, 0.03, 0.01, 0.006, 0.003)
"""Rates of signal, and then of noise, beside which the other is nearly 1."""
SPREADS = (2.0, 60.0)
"""Deviations of images."""
LABELS = torch.tensor([3, NO_CLASS, 0, 1, 1, 2])
LARGE = 150
"""Images of a large batch, whose losses are compared with those of its images."""
COUNT = 1024
"""Images whose noise is looked at: 131,072 numbers, by which a spread of 1.02 is told from 1."""
NEIGHBOURS, FEW_EQUAL = (1, 2, 3, 7, COUNT // 2), 0.1
"""How far apart images are whose times are compared, and how many may be equal: of those that are
drawn from 10 times or more, fewer are. The first and the last time are not counted: an objective
that draws noise levels finds many beyond the schedule's ends."""
LEAST_WITHIN = 0.1
"""The least share of times between these two."""
EXACT = 1e-9
"""Relative; what float64 leaves after the worst division by a small rate."""


def behaviour(objective: Objective) -> list[object]:
    """Its losses, and what it predicts, with the usual network and three schedules."""

    def answers(schedule: Schedule) -> list[object]:
        values = objective.loss(usual_network, normal_images(), None, schedule, train_draws())
        x = normal_images(1)
        said = objective.predict(usual_network, x, schedule(TIMES), None)
        return [{name: value.detach() for name, value in values.items()}, tuple(said)]

    return list(in_turn(answers, SCHEDULES.values()))


def predictions_add_up_to_x(objective: Objective, _: Context) -> str:
    """They do, x = signal * x0 + noise * eps, whatever the network says."""
    worst = 0.0
    for name, schedule in SCHEDULES.items():
        x, rates = normal_images(1), schedule(TIMES)
        both: list[Rates[float] | Rates[Tensor]] = [rates, *float_rates(rates)]
        for given in both:
            prediction = predicted(objective, usual_network, x, given)
            signal, noise = given.over(x)
            away = relative_difference(signal * prediction.x0 + noise * prediction.eps, x)
            require(
                away < EXACT,
                f"signal * x0 + noise * eps is {away:.2g} away from x ({name}): are x0 and eps of "
                "the unscaled x, and both rates in their places?",
            )
            worst = max(worst, away)
    x, small = normal_images(1), torch.tensor(SMALL, dtype=torch.float64)
    large = (1 - small**2).sqrt()
    for what, rates in (("signal", Rates(small, large)), ("noise", Rates(large, small))):
        prediction = predicted(objective, usual_network, x, rates)
        signal, noise = rates.over(x)
        away = relative_difference(signal * prediction.x0 + noise * prediction.eps, x)
        require(
            away < EXACT,
            f"signal * x0 + noise * eps is {away:.2g} away from x at {what} down to {SMALL[-1]}",
        )
    return f"within {worst:.0e}"


def network_sees_scaled_x_and_rates(objective: Objective, _: Context) -> str:
    """The network sees x / c and rates / c, c = sqrt(signal² + noise²), as tensors (N,)."""
    for name, schedule in SCHEDULES.items():
        _predicts_from_scaled(objective, name, schedule)
        _trains_on_scaled(objective, name, schedule)
    return "in loss and predict"


def perfect_network_has_no_loss(objective: Objective, _: Context) -> str:
    """An output with which ``predict`` says the true x0 and eps is what the loss asks for."""
    worst = 0.0
    for (name, schedule), spread in product(SCHEDULES.items(), SPREADS):
        x0 = spread * normal_images()
        perfect = PerfectNetwork(objective, x0)
        signal, noise = schedule(TIMES).over(x0)
        x = signal * x0 + noise * normal_images(2)
        require(
            relative_difference(predicted(objective, perfect, x, schedule(TIMES)).x0, x0) < 1e-6,
            f"no output of the network makes predict say the true x0, of deviation {spread:g} "
            f"({name}): what it says should be affine in the output, and nothing clipped",
        )
        least, usual = (losses(objective, n, x0, schedule) for n in (perfect, usual_network))
        left = float(least["loss"]) / float(usual["loss"])
        require(
            abs(left) < 1e-6,
            f"a network that makes predict right keeps {left:.1%} of the loss of some other one "
            f"({name}): loss and predict should mean the same by its output (signs, rates)",
        )
        worst = max(worst, abs(left))
    return f"{worst:.0e} of another network's"


def loss_is_the_one_scalar_to_differentiate(objective: Objective, _: Context) -> str:
    """``loss`` is finite and has a gradient; the others are to watch, and detached."""
    network = AffineNetwork()
    values = losses(objective, network, normal_images(), preserving)
    others = [name for name, value in values.items() if name != "loss" and value.requires_grad]
    require(not others, f"{', '.join(others)} can be differentiated: detach what is to watch")
    require(values["loss"].requires_grad, "loss has no gradient: is the network's output detached?")
    torch.autograd.backward(values["loss"])
    for name, weight in network.named_parameters():
        require(weight.grad is not None, f"no gradient reaches the network's {name}")
        assert weight.grad is not None
        require(bool(weight.grad.isfinite().all()), f"the gradient of the network's {name} is nan")
        require(bool((weight.grad != 0).any()), f"the gradient of the network's {name} is 0")
    for count, channels in ((6, 5), (130, 1)):
        x0 = normal_images(count=count, channels=channels)
        answer = torch.full_like(x0, 0.1).requires_grad_()
        values = losses(objective, lambda *_, answer=answer: answer, x0, preserving)
        (grad,) = torch.autograd.grad(values["loss"], answer)
        still = float((grad == 0).double().mean())
        require(
            not still,
            f"of {count} images of {channels} channels {still:.0%} of the network's output has no "
            "gradient: does all of it count?",
        )
    return ", ".join(values)


def losses_are_means_over_the_batch(objective: Objective, _: Context) -> str:
    """Equal images give the loss of one; where times allow it, others the mean of theirs."""
    image = normal_images(count=1)
    alone = losses(objective, usual_network, image, constant_rates, Draws(0, "train", [0]))
    equal = Draws(0, "train", [0] * 4)
    together = losses(objective, usual_network, image.repeat(4, 1, 1, 1), constant_rates, equal)
    for name, value in alone.items():
        single, batch = float(value), float(together[name])
        require(
            math.isclose(single, batch, rel_tol=1e-6, abs_tol=1e-9),
            f"{name} is {single:.4g} for an image and {batch:.4g} for four like it: should be a "
            "mean",
        )
    return _mean_of_different_images(objective)


def times_and_noise_come_from_draws(objective: Objective, _: Context) -> str:
    """Every image has its own time and noise, and other draws give others."""
    x0 = normal_images(count=1).repeat(6, 1, 1, 1)
    network, again = WatchedNetwork(), WatchedNetwork()
    objective.loss(network, x0, None, preserving, train_draws())
    require(len(set(network.rates.noise.tolist())) > 1, "all images of a batch get the same t")
    signal, noise = network.rates.over(x0)
    eps = (network.x - signal * x0) / noise
    require(not same(eps[0], eps[1], 1e6), "all images of a batch get the same noise")
    objective.loss(again, x0, None, preserving, Draws(1, "train", range(6)))
    require(not same(network.rates.noise, again.rates.noise), "t does not depend on draws")
    require(not same(network.x, again.x), "the noise does not depend on draws")
    _noise_is_of_its_row(objective)
    _parts_of_a_batch_see_what_the_whole_sees(objective)
    return "other draws, other times and noise"


def keeps_images_apart(objective: Objective, _: Context) -> str:
    """What it predicts of an image does not depend on the batch."""
    for name, schedule in SCHEDULES.items():
        x, rates = normal_images(1), schedule(TIMES)
        whole = predicted(objective, usual_network, x, rates)
        for row in range(len(x)):
            own = Rates(*(rate[row : row + 1] for rate in rates))
            alone = predicted(objective, usual_network, x[row : row + 1], own)
            for what, now, then in zip(("x0", "eps"), alone, whole, strict=True):
                away = relative_difference(now, then[row : row + 1])
                require(away < EXACT, f"{what} of an image is {away:.2g} different alone ({name})")
    return "alone as in a batch of 6"


def passes_labels_on(objective: Objective, _: Context) -> str:
    """Labels are passed as they are, None as None; a prediction is one network evaluation."""
    for label in (LABELS, None, LABELS.repeat(22)):
        network, parts = WatchedNetwork(), 1 if label is None else len(label) // len(LABELS)
        x, times = normal_images().repeat(parts, 1, 1, 1), TIMES.repeat(parts)
        objective.predict(network, x, preserving(times), label)
        calls = len(network.shown)
        require(calls == 1, f"predict called the network {calls} times instead of once")
        _passed_on(network, label, "predict")
        objective.loss(network, x, label, preserving, Draws(0, "train", range(len(x))))
        _passed_on(network, label, "loss")
    return f"labels of {len(LABELS)} and {len(x)} images, and None"


def keeps_dtype_and_device(objective: Objective, _: Context) -> str:
    """The answers have those of x and x0; single precision is near double precision."""
    rates, x = preserving(TIMES), normal_images(1)
    exact = predicted(objective, usual_network, x, rates)
    single = Rates(*(rate.float() for rate in rates))
    rounded = predicted(objective, usual_network, x.float(), single)
    for what, now, then in zip(("x0", "eps"), rounded, exact, strict=True):
        require(now.dtype == torch.float32, f"{what} of float32 x is {now.dtype}")
        away = relative_difference(now.double(), then)
        require(away < 1e-3, f"in float32 {what} is {away:.1e} away from that in float64")
    values = _usual_losses(objective, normal_images().float())
    wrong = {name: v.dtype for name, v in values.items() if v.dtype != torch.float32}
    require(not wrong, f"of float32 images the losses are {wrong}")

    def elsewhere(device: str) -> tuple[Tensor, ...]:
        there, moved = x.to(device), Rates(*(rate.to(device) for rate in rates))
        values = _usual_losses(objective, there)
        return *objective.predict(usual_network, there, moved, None), *values.values()

    return f"float32, float64; {on_another_device(elsewhere)}"


def changes_nothing_in_place(objective: Objective, _: Context) -> str:
    """Neither images, nor labels, nor rates are changed."""
    for schedule in SCHEDULES.values():  # dividing by c in place shows where c is not 1
        x, label, rates = normal_images(), LABELS.clone(), schedule(TIMES)
        with untouched(x0=x, label=label):
            objective.loss(usual_network, x, label, schedule, train_draws())
        with untouched(x=x, label=label, rates=rates):
            objective.predict(usual_network, x, rates, label)
    return "images, labels and rates stay"


CHECKS: Sequence[Check] = (
    predictions_add_up_to_x,
    network_sees_scaled_x_and_rates,
    perfect_network_has_no_loss,
    loss_is_the_one_scalar_to_differentiate,
    losses_are_means_over_the_batch,
    watched_losses_are_what_their_names_say,
    times_and_noise_come_from_draws,
    keeps_images_apart,
    passes_labels_on,
    keeps_dtype_and_device,
    changes_nothing_in_place,
)


def _predicts_from_scaled(objective: Objective, name: str, schedule: Schedule) -> None:
    """Raise Wrong unless ``predict`` shows the network x / c and rates / c, as tensors (N,)."""
    x, rates, network = normal_images(1), schedule(TIMES), WatchedNetwork()
    predicted(objective, network, x, rates)
    away = relative_difference(network.x, x / rates.over(x).c)
    require(away < EXACT, f"predict shows the network x that is not x / c ({name})")
    for part, rate, expected in zip(("signal", "noise"), network.rates, rates.scaled, strict=True):
        require(
            rate.shape == (len(x),),
            f"the network sees {part} of shape {tuple(rate.shape)}; it should be (N,) ({name})",
        )
        away = relative_difference(rate, expected)
        require(away < EXACT, f"predict shows the network a {part} that is not / c ({name})")
    tensors = predicted(objective, usual_network, x, rates)
    for row, given in enumerate(float_rates(rates)):
        own = slice(row, row + 1)
        said = predicted(objective, network, x, given)
        for part, rate, each in zip(("signal", "noise"), network.rates, rates.scaled, strict=True):
            require(
                rate.shape == (len(x),),
                f"given rates of two floats, the network sees {part} of {tuple(rate.shape)}",
            )
            require(
                relative_difference(rate, each[row]) < EXACT,
                f"given rates of two floats, the network sees a {part} that is not / c ({name})",
            )
        for what, now, then in zip(("x0", "eps"), said, tensors, strict=True):
            away = relative_difference(now[own], then[own])
            require(
                away < EXACT,
                f"{what} is {away:.2g} different where rates are two floats and not tensors (N,) "
                f"({name})",
            )


def _trains_on_scaled(objective: Objective, name: str, schedule: Schedule) -> None:
    """Raise Wrong unless ``loss`` shows the network scaled rates, and the x that goes with them."""
    x0, network = normal_images(count=COUNT, side=8), WatchedNetwork()
    # Rows count on from batch to batch where a model is validated.
    objective.loss(network, x0, None, schedule, Draws(0, "train", range(COUNT, 2 * COUNT)))
    signal, noise = (rate.reshape(-1, 1, 1, 1) for rate in network.rates)
    off = float((signal**2 + noise**2 - 1).abs().max())
    require(
        off < EXACT,
        f"loss shows the network rates with signal² + noise² up to {off:.2g} from 1: it should see "
        f"rates / c ({name})",
    )
    ends = schedule(torch.tensor([1.0, 0.0], dtype=torch.float64)).scaled.noise.tolist()
    require(
        float(noise.max()) <= ends[0] + EXACT and float(noise.min()) >= ends[1] - EXACT,
        f"loss trains with rates that the schedule does not have ({name})",
    )
    eps = (network.x - signal * x0) / noise
    require_normal(eps, f"in loss (x / c - signal * x0) / noise, by the rates it shows ({name}),")
    times = network.rates.noise
    within = (times > times.min()) & (times < times.max())
    require(
        float(within.double().mean()) > LEAST_WITHIN,
        f"of {COUNT} images hardly any has another time than the first and the last ({name})",
    )
    for apart in NEIGHBOURS:
        same_time = (times[apart:] == times[:-apart]) & within[apart:]
        equal = float(same_time.double().sum() / within.sum())
        require(
            equal < FEW_EQUAL,
            f"of {COUNT} images {equal:.0%} have the time of the image {apart} before: each should "
            f"have its own ({name})",
        )


def _noise_is_of_its_row(objective: Objective) -> None:
    """Raise Wrong where another row of draws changes the noise of other images than its own."""
    x0, seen = normal_images(count=6), []
    for rows in (range(6), [0, 1, 2, 99, 4, 5]):
        network = WatchedNetwork()
        objective.loss(network, x0, None, preserving, Draws(0, "train", rows))
        signal, noise = network.rates.over(x0)
        seen.append((network.x - signal * x0) / noise)
    for row in range(6):
        away = relative_difference(seen[1][row], seen[0][row])
        require(
            (away > EXACT) == (row == 3),
            f"with other draws for image 3 the noise of image {row} "
            + ("is the same" if row == 3 else "is another one: row i of draws is of image i"),
        )


def _mean_of_different_images(objective: Objective) -> str:
    """What was measured. Raises Wrong unless the loss of a batch is the mean of its images' own."""
    x0, network = normal_images(count=LARGE), WatchedNetwork()
    whole = losses(objective, network, x0, preserving)
    noise, parts = network.rates.noise, []
    for row in range(len(x0)):
        parts.append(losses(objective, network, x0[[row]], preserving, Draws(0, "train", [row])))
        if abs(float(network.rates.noise[0] - noise[row])) > EXACT:
            return "of equal images; times depend on the batch"
    for name, value in whole.items():
        mean = sum(float(part[name]) for part in parts) / len(parts)
        require(
            math.isclose(float(value), mean, rel_tol=1e-6, abs_tol=1e-9),
            f"{name} is {float(value):.4g}, the mean of the images' own is {mean:.4g}",
        )
    return f"of equal images and of {LARGE} different ones"


def _parts_of_a_batch_see_what_the_whole_sees(objective: Objective) -> None:
    """Raise Wrong where a process that has some of a batch trains on other times or noise."""
    x0, rows = normal_images(count=12), range(40, 52)

    def shown(start: int, end: int) -> tuple[Tensor, Rates[Tensor]]:
        network = WatchedNetwork()
        draws = Draws(0, "train", rows[start:end], batch=rows)
        objective.loss(network, x0[start:end], None, preserving, draws)
        return network.shown[-1]

    x, rates = shown(0, 12)
    for start, end in ((0, 5), (5, 12)):
        part = slice(start, end)
        own, seen = shown(start, end)
        for what, now, then in (
            ("times", seen.noise, rates.noise[part]),
            ("noise", own, x[part]),
        ):
            require(
                relative_difference(now, then) < EXACT,
                f"images {start} to {end - 1} of a batch of 12 get other {what} where another "
                "process has the rest: draws.rows are those of one process, draws.batch are all",
            )


def _passed_on(network: WatchedNetwork, label: Tensor | None, where: str) -> None:
    require(
        network.label is label or (label is not None and same(network.label, label)),
        f"{where} was given the labels {plain_labels(label)} and the network "
        f"{plain_labels(network.label)}",
    )


def _usual_losses(objective: Objective, x0: Tensor) -> Mapping[str, Tensor]:
    return objective.loss(usual_network, x0, None, preserving, train_draws())
