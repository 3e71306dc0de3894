"""Checks of backbones: gradients reach all of it, rates and labels matter, images stay apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...plugin.contracts import Backbone, ForDiffusers
from ...plugin.values import NO_CLASS, Rates
from ..context import Check, Context, Wrong, require
from ..problems.forms import forms
from ..problems.gradients import (
    FIRST,
    derivative_is_right,
    disturb,
    gradients_reach_all,
    inputs_matter,
    training_reaches_all,
)
from ..problems.other_device import on_another_device
from ..problems.turns import in_turn
from ..same import same, untouched

Shape = tuple[int, int, int]

SIZES = ((3, 16, 16), (1, 16, 24), (2, 8, 8), (5, 32, 32), (3, 15, 17), (3, 64, 64))
"""Channels, height and width of images to try; a network need not take each."""
OTHERS = ((3, 32, 136), (3, 16, 15), (3, 32, 18), (3, 18, 32))
"""And images that are wide, or of sides of which one can be halved more often, for whoever takes
them."""
CLASSES, MANY_CLASSES = 3, 1003
MANY = 40
"""Images of a batch in which they are kept apart."""
PARTS = ([0], [1], [MANY // 2], [MANY - 1], [0, 4, 1, 2], [*range(MANY - 1, 2, -1)])
"""Those of them that are looked at without the others: alone, two of one label first, and most."""
ENDS = (4.54e-5, 0.999999999)
"""Noise rates at log-SNR 20 and -20, which schedules may come to."""
LEVELS = ((0.01, 0.015), (0.995, 0.9988), (0.4, 0.43))
"""Noise rates that are to be told apart too."""
APART = 1e-9
"""Relative difference that float64 leaves between an image alone and in a batch."""


def behaviour(backbone: Backbone) -> list[list[Tensor]]:
    """What the smallest network that it makes says, in evaluation and in training."""

    def answers(made: tuple[nn.Module, Shape, int | None]) -> list[Tensor]:
        network, shape, classes = made
        x, rates = _inputs(shape, 2)
        label = None if classes is None else torch.tensor([0, 2])
        return [_say(network, x, rates, label, train=train) for train in (True, False)]

    return in_turn(answers, _networks(backbone))


def keeps_shape_and_dtype(backbone: Backbone, _: Context) -> str:
    """The answer is like x for each size that it takes; others raise InputError."""
    taken = []
    for shape, network in _taken(backbone, (*SIZES[:-1], *OTHERS)):
        for count, dtype in ((1, torch.float32), (3, torch.float64)):
            _answers_like(network, shape, count, dtype)
        _all_counts(disturb(network), shape)
        taken.append("{}×{}".format(*shape[1:]))
    require(bool(taken), f"it takes none of the sizes {(*SIZES[:-1], *OTHERS)}")
    return f"{', '.join(taken)} pixels; float32, float64"


def gradients_reach_every_parameter(backbone: Backbone, _: Context) -> str:
    """They are finite and not 0, once noise on the weights has freed those that start as 0.

    And they say how the answer changes, so that nothing on the way is detached.
    """
    counts = []
    for network, shape, classes in _networks(backbone):
        x, rates = _inputs(shape, 4)
        label = _labels(classes)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            out = network.train()(x, rates, label)
        counts.append(f"{gradients_reach_all(network, out):,}")
        derivative_is_right(network, x, rates, label)
    for shape, network in _taken(backbone, SIZES[1:3]):
        disturb(network).double().train()
        gradients_reach_all(network, network(*_inputs(shape, 2)))
    return " and, with classes, ".join(counts) + " numbers"


def trains_from_its_fresh_weights(backbone: Backbone, _: Context) -> str:
    """Within some steps every parameter has had a gradient."""
    shape = _fitting(backbone)
    for classes in (None, CLASSES):
        try:
            network = _fresh(backbone, shape, classes).double()
        except InputError:  # told by other checks, if it is wrong
            continue
        x, rates = _inputs(shape, 4)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            training_reaches_all(network, x, rates, _labels(classes))
    return f"all of it within {FIRST} steps"


def image_and_rates_matter(backbone: Backbone, _: Context) -> str:
    """Every pixel changes the answer, and so does the noise level."""
    network, shape = _network(backbone, None)
    x, rates = _inputs(shape, 2)
    inputs_matter(network, x, rates)
    for noise in ENDS:
        ends = Rates(*(torch.full((2,), v, dtype=x.dtype) for v in ((1 - noise**2) ** 0.5, noise)))
        answer = _say(network, x, ends)
        require(bool(answer.isfinite().all()), f"at the noise rate {noise:g} it is not finite")
    for pair in (rates.noise.tolist(), *LEVELS):
        noises = torch.tensor(pair, dtype=x.dtype)
        levels = Rates((1 - noises**2).sqrt(), noises)
        first, second = (_say(network, x[:1], _row(levels, i)) for i in (0, 1))
        away = _relative(first, second)
        require(
            away > 1e-7,
            f"the answer is the same for the noise rates {pair[0]:g} and {pair[1]:g}: the network "
            "should see the rates",
        )
    return f"{away:.1%} for another noise level"


def keeps_images_apart(backbone: Backbone, _: Context) -> str:
    """In evaluation mode an image does not depend on the others of its batch."""
    worst = 0.0
    for network, shape, classes in _networks(backbone):
        x, rates = _inputs(shape, MANY)
        _say(network, x, rates, train=True)  # so that statistics are no constants
        label = None if classes is None else (torch.arange(MANY) * 3) % (classes + 1) + NO_CLASS
        whole = _say(network, x, rates, label)
        for rows in PARTS:
            own = None if label is None else label[rows]
            part = _say(network, x[rows], Rates(*(rate[rows] for rate in rates)), own)
            worst = max(worst, _relative(part, whole[rows]))
        for form, given in forms(x).items():
            away = _relative(_say(network, given, rates, label), whole)
            require(away < APART, f"as {form} the same images come out {away:.1e} different")
        require(
            worst < APART,
            f"in evaluation mode an image comes out {worst:.1e} different alone than in a batch: "
            "rows mix (statistics of the batch?)",
        )
    return f"within {worst:.0e} of alone"


def labels_matter(backbone: Backbone, _: Context) -> str:
    """Each class and "no class" have their own answer; no label is "no class"."""
    try:
        network, shape = _network(backbone, CLASSES)
    except InputError:
        return "knows no classes, and says so"
    x, rates = _inputs(shape, 1)
    labels = [*range(CLASSES), NO_CLASS]
    answers = {label: _say(network, x, rates, torch.tensor([label])) for label in labels}
    nearest, pair = _nearest(answers)
    require(
        nearest > 1e-6,
        f"made for {CLASSES} classes, labels {pair} give the same answer; a network that "
        "knows no classes raises InputError for num_classes",
    )
    require(
        _relative(_say(network, x, rates), answers[NO_CLASS]) < APART,
        f"no label at all and the label {NO_CLASS} (no class) give different answers",
    )
    _refuses_unknown_labels(network, x, rates)
    many = _network(backbone, MANY_CLASSES)[0]
    some = (0, 1, MANY_CLASSES // 2, MANY_CLASSES - 2, MANY_CLASSES - 1, NO_CLASS)
    answers = {label: _say(many, x, rates, torch.tensor([label])) for label in some}
    nearest, pair = _nearest(answers)
    require(nearest > 1e-6, f"made for {MANY_CLASSES} classes, labels {pair} give the same answer")
    return f"at least {nearest:.1%} apart"


def global_generator_is_for_training_only(backbone: Backbone, _: Context) -> str:
    """Dropout may use torch's; in evaluation mode nothing is random."""
    network, shape = _network(backbone, None)
    x, rates = _inputs(shape, 2)
    before = torch.get_rng_state()
    first, second = (_say(network, x, rates) for _ in range(2))
    require(
        torch.equal(before, torch.get_rng_state()),
        "in evaluation mode the network draws from torch's global generator",
    )
    require(
        same(first, second), "in evaluation mode the network says different things of the same x"
    )
    return "not used in evaluation mode"


def state_makes_the_same_network(backbone: Backbone, _: Context) -> str:
    """A network with other weights that loads the state says the same."""
    network, shape = _network(backbone, None)
    x, rates = _inputs(shape, 2)
    _say(network, x, rates, train=True)
    other = disturb(_fresh(backbone, shape, None, seed=1), seed=1).double()
    other.load_state_dict(network.state_dict())
    require(
        same(_say(network, x, rates), _say(other, x, rates)),
        "a second network that loads the first one's state_dict says something else: is all that "
        "counts a parameter or a buffer?",
    )
    return f"{len(network.state_dict())} tensors"


def works_without_memory(backbone: Backbone, _: Context) -> str:
    """It works on torch's meta device, where recipes are checked before anything is trained.

    It may be made there, or made elsewhere and moved.
    """
    shape = _fitting(backbone)
    for device in ("meta", "cuda") if torch.cuda.is_available() else ("meta",):
        with torch.device(device), torch.random.fork_rng(), torch.no_grad():
            network = backbone(shape, None).eval()
            x, rates = _inputs(shape, 2, torch.float32)
            out = network(x.to(device), Rates(*(rate.to(device) for rate in rates)))
        require(out.device.type == device, f"for tensors on {device} the answer is on {out.device}")
        require(out.shape == x.shape, f"on {device} images come out as {tuple(out.shape)}")

    def moved(device: str) -> Tensor:
        network, (x, rates) = _fresh(backbone, shape, None), _inputs(shape, 2, torch.float32)
        with torch.no_grad():
            there = Rates(*(rate.to(device) for rate in rates))
            answer: Tensor = network.eval().to(device)(x.to(device), there)
        return answer

    on_another_device(moved)
    return device


def changes_nothing_in_place(backbone: Backbone, _: Context) -> str:
    """Neither x nor the rates are changed."""
    network, shape = _network(backbone, None)
    x, rates = _inputs(shape, 2)
    with untouched(x=x, rates=rates):
        for train in (False, True):
            _call(network, x, rates, None, train=train)
    return "x and rates stay"


def says_the_same_in_diffusers(backbone: Backbone, _: Context) -> str:
    """A network's model for diffusers, if it makes one, gives the network's own answers.

    Making it leaves the network as it is, so that a second one is like the first.
    """
    network, shape = _network(backbone, None)
    network = network.float()
    if not isinstance(network, ForDiffusers):
        return ""
    x, rates = _inputs(shape, 3, torch.float32)
    here = _say(network, x, rates)
    for which in ("", "second "):
        try:
            other = network.to_diffusers(Rates(*(rate.double() for rate in rates)))
        except InputError as error:
            return f"it refuses: {error}"
        with torch.no_grad():
            answer = other(x, torch.arange(3)).sample
        away = _relative(answer, here)
        require(
            away < 1e-4,
            f"its {which}model for diffusers says something else: {away:.2g} away at three rates",
        )
    require(same(_say(network, x, rates), here), "to_diffusers changes the network itself")
    return f"within {away:.0e}"


CHECKS: Sequence[Check] = (
    keeps_shape_and_dtype,
    gradients_reach_every_parameter,
    trains_from_its_fresh_weights,
    image_and_rates_matter,
    keeps_images_apart,
    labels_matter,
    global_generator_is_for_training_only,
    state_makes_the_same_network,
    works_without_memory,
    changes_nothing_in_place,
    says_the_same_in_diffusers,
)


def _networks(backbone: Backbone) -> Iterator[tuple[nn.Module, Shape, int | None]]:
    """Its network without classes, and one with classes where it can take any."""
    for classes in (None, CLASSES):
        try:
            network, shape = _network(backbone, classes)
        except InputError:  # told by other checks, if it is wrong
            continue
        yield network, shape, classes


def _labels(classes: int | None) -> Tensor | None:
    """One of each, for a batch of four images."""
    return None if classes is None else torch.tensor([*range(CLASSES), NO_CLASS])


def _taken(backbone: Backbone, shapes: Sequence[Shape]) -> Iterator[tuple[Shape, nn.Module]]:
    """A fresh network without classes for each of these sizes that it takes."""
    for shape in shapes:
        try:
            network = _fresh(backbone, shape, None)
        except InputError:
            continue
        yield shape, network


def _network(backbone: Backbone, classes: int | None) -> tuple[nn.Module, Shape]:
    """The network for the first size that it takes, float64, no weight as it started."""
    shape = _fitting(backbone)
    return disturb(_fresh(backbone, shape, classes)).double(), shape


def _fitting(backbone: Backbone) -> Shape:
    """The first size that it takes. Raises its InputError if it takes none."""
    refused: InputError | None = None
    for shape in SIZES:
        try:
            with torch.device("meta"):
                backbone(shape, None)
            return shape
        except InputError as error:
            refused = refused or error
    assert refused
    raise refused


def _fresh(backbone: Backbone, shape: Shape, classes: int | None, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network: object = backbone(shape, classes)
    if not isinstance(network, nn.Module):
        raise Wrong(f"it made a {type(network).__name__}, no nn.Module")
    return network


def _say(
    network: nn.Module,
    x: Tensor,
    rates: Rates[Tensor],
    label: Tensor | None = None,
    *,
    train: bool = False,
) -> Tensor:
    """What it says of a copy of x: that it changes x in place is for one check to tell."""
    return _call(network, x.clone(), rates, label, train=train)


def _call(
    network: nn.Module, x: Tensor, rates: Rates[Tensor], label: Tensor | None, *, train: bool
) -> Tensor:
    with torch.no_grad(), torch.random.fork_rng(enabled=train):
        if train:
            torch.manual_seed(0)
        answer: Tensor = network.train(train)(x, rates, label)
    return answer


def _inputs(
    shape: Shape, count: int, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Rates[Tensor]]:
    """Images of unit variance, and scaled rates, another for each; rounded to float32."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(count, *shape, generator=draw, device="cpu")
    noise = torch.linspace(0.2, 0.9, count, device="cpu")
    return x.to(dtype), Rates((1 - noise**2).sqrt().to(dtype), noise.to(dtype))


def _answers_like(network: nn.Module, shape: Shape, count: int, dtype: torch.dtype) -> None:
    """Raise Wrong unless the answer is finite and has the shape and dtype of x."""
    x, rates = _inputs(shape, count, dtype)
    out = _say(network.to(dtype), x, rates)
    wanted, got = tuple(x.shape), tuple(out.shape)
    require(got == wanted, f"images {wanted} come out as {got}")
    require(out.dtype == dtype, f"{dtype} images come out as {out.dtype}")
    require(bool(out.isfinite().all()), f"for images {wanted} the answer is not finite")


def _all_counts(network: nn.Module, shape: Shape) -> None:
    """Raise Wrong where a channel of x changes nothing, or of the answer repeats another.

    Rows and columns of the answer are not to repeat those beside them either.
    """
    x, rates = _inputs(shape, 1)
    out = _say(network.double(), x, rates)
    for channel in range(shape[0]):
        other = x.clone()
        other[:, channel] += 1
        require(
            not same(_say(network, other, rates), out),
            f"of images {shape} channel {channel} changes nothing in the answer",
        )
    alike = (out.diff(dim=1) == 0).flatten(2).all(2).any()
    require(not alike, f"of images {shape} a channel of the answer repeats the one before")
    for axis, name in ((2, "row"), (3, "column")):
        repeated = (out.diff(dim=axis) == 0).all(1).all(4 - axis).flatten().nonzero()
        place = int(repeated[:1].sum()) + 1
        require(
            not len(repeated),
            f"of images {shape} {name} {place} of the answer repeats the one before",
        )


def _nearest(answers: dict[int, Tensor]) -> tuple[float, str]:
    """How far the two nearest answers are apart, and the labels that they are for."""
    labels = list(answers)
    return min(
        (_relative(answers[a], answers[b]), f"{a} and {b}")
        for j, b in enumerate(labels)
        for a in labels[:j]
    )


def _refuses_unknown_labels(network: nn.Module, x: Tensor, rates: Rates[Tensor]) -> None:
    for label in (CLASSES, NO_CLASS - 1):
        try:
            _say(network, x, rates, torch.tensor([label]))
        except Exception:  # which one is the network's business
            continue
        raise Wrong(f"made for {CLASSES} classes it takes the label {label}: raise an error")


def _row(rates: Rates[Tensor], i: int) -> Rates[Tensor]:
    return Rates(*(rate[i : i + 1] for rate in rates))


def _relative(a: Tensor, b: Tensor) -> float:
    """The largest difference, relative to the largest number of b."""
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-12))
