"""Checks of backbones: gradients reach all of it, rates and labels matter, images stay apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...plugin.contracts import NO_CLASS, Rates
from ..core import Check, Context, Wrong, require, untouched
from ..problems.gradients import disturb, gradients_reach_all, inputs_matter
from ..same import same

Shape = tuple[int, int, int]

SIZES: Sequence[Shape] = (
    (3, 16, 16),
    (1, 16, 24),
    (2, 8, 8),
    (3, 32, 32),
    (3, 15, 17),
    (3, 64, 64),
)
"""Of images to try; a network need not take each."""
CLASSES = 3
APART = 1e-9
"""Relative, in float64."""


def behaviour(backbone: Any) -> Any:
    """What the smallest network that it makes says, in evaluation and in training."""
    found = []
    for classes in (None, CLASSES):
        try:
            network, shape = _made(backbone, classes)
        except InputError:  # told by other checks, if it is wrong
            continue
        x, rates = _inputs(shape, 2)
        label = None if classes is None else torch.tensor([0, 2])
        for train in (True, False):
            found.append(_say(network, x.double(), _double(rates), label, train=train))
    return found


def keeps_shape_and_dtype(backbone: Any, _: Context) -> str:
    """An answer like x, for each size that it takes; what it cannot take is an InputError."""
    taken = []
    for shape in SIZES[:-1]:
        try:
            network = _fresh(backbone, shape, None)
        except InputError:
            continue
        for count, dtype in ((1, torch.float32), (3, torch.float64)):
            x, rates = _inputs(shape, count)
            rates = Rates(*(rate.to(dtype) for rate in rates))
            out = _say(network.to(dtype), x.to(dtype), rates)
            wanted, got = tuple(x.shape), tuple(out.shape)
            require(got == wanted, f"images {wanted} come out as {got}")
            require(out.dtype == dtype, f"{dtype} images come out as {out.dtype}")
            require(bool(out.isfinite().all()), f"for images {wanted} the answer is not finite")
        taken.append("{}×{}".format(*shape[1:]))
    require(bool(taken), f"it takes none of the sizes {SIZES[:-1]}")
    return f"{', '.join(taken)} pixels; float32, float64"


def gradients_reach_every_parameter(backbone: Any, _: Context) -> str:
    """Finite and not 0, once 0.02 of noise on the weights has freed those that start as 0."""
    told = []
    for classes in (None, CLASSES):
        try:
            network, shape = _made(backbone, classes)
        except InputError:
            continue
        x, rates = _inputs(shape, 4)
        label = None if classes is None else torch.tensor([0, 1, 2, NO_CLASS])
        with torch.random.fork_rng():
            torch.manual_seed(0)
            out = network.train()(x.double(), _double(rates), label)
        told.append(f"{gradients_reach_all(network, out):,}")
    return " and, with classes, ".join(told) + " numbers"


def image_and_rates_matter(backbone: Any, _: Context) -> str:
    """Every pixel does, and the noise level."""
    network, shape = _made(backbone, None)
    x, rates = _inputs(shape, 2)
    inputs_matter(network, x.double(), _double(rates))
    first, second = (
        _say(network, x[:1].double(), Rates(*(rate[i : i + 1] for rate in _double(rates))))
        for i in (0, 1)
    )
    away = _relative(first, second)
    require(
        away > 1e-6,
        "the answer is the same for another noise level: the network should see the rates",
    )
    return f"{away:.1%} for another noise level"


def keeps_images_apart(backbone: Any, _: Context) -> str:
    """In evaluation mode an image does not depend on the others of its batch."""
    worst = 0.0
    for classes in (None, CLASSES):
        try:
            network, shape = _made(backbone, classes)
        except InputError:
            continue
        x, rates = _inputs(shape, 4)
        _say(network, x.double(), _double(rates), train=True)  # so that statistics are no constants
        label = None if classes is None else torch.tensor([0, NO_CLASS, 2, 1])
        whole = _say(network, x.double(), _double(rates), label)
        for i in range(len(x)):
            row = slice(i, i + 1)
            one = Rates(*(rate[row] for rate in _double(rates)))
            said = _say(network, x[row].double(), one, None if label is None else label[row])
            worst = max(worst, _relative(said, whole[row]))
        require(
            worst < APART,
            f"in evaluation mode an image comes out {worst:.1e} different alone than in a batch: "
            "rows mix (statistics of the batch?)",
        )
    return f"within {worst:.0e} of alone"


def labels_matter(backbone: Any, _: Context) -> str:
    """Each class and "no class" have their own answer; no label is "no class"."""
    try:
        network, shape = _made(backbone, CLASSES)
    except InputError:
        return "knows no classes, and says so"
    x, rates = _inputs(shape, 1)
    x, rates = x.double(), _double(rates)
    labels = [*range(CLASSES), NO_CLASS]
    said = [_say(network, x, rates, torch.tensor([label])) for label in labels]
    nearest = min(
        (_relative(a, b), f"{labels[i]} and {labels[j]}")
        for j, b in enumerate(said)
        for i, a in enumerate(said[:j])
    )
    require(
        nearest[0] > 1e-6,
        f"made for {CLASSES} classes, labels {nearest[1]} give the same answer; a network that "
        "knows no classes raises InputError for num_classes",
    )
    require(
        _relative(_say(network, x, rates), said[-1]) < APART,
        f"no label at all and the label {NO_CLASS} (no class) give different answers",
    )
    for label in (CLASSES, NO_CLASS - 1):
        try:
            _say(network, x, rates, torch.tensor([label]))
        except Exception:  # which one is the network's business
            continue
        raise Wrong(f"made for {CLASSES} classes it takes the label {label}: raise an error")
    return f"at least {nearest[0]:.1%} apart"


def global_generator_is_for_training_only(backbone: Any, _: Context) -> str:
    """Dropout may use torch's; in evaluation mode nothing is random."""
    network, shape = _made(backbone, None)
    x, rates = _inputs(shape, 2)
    before = torch.get_rng_state()
    said = [_say(network, x.double(), _double(rates)) for _ in range(2)]
    require(
        torch.equal(before, torch.get_rng_state()),
        "in evaluation mode the network draws from torch's global generator",
    )
    require(
        same(said[0], said[1]), "in evaluation mode the network says different things of the same x"
    )
    return "not used in evaluation mode"


def state_makes_the_same_network(backbone: Any, _: Context) -> str:
    """A network with other weights that loads the state says the same."""
    network, shape = _made(backbone, None)
    x, rates = _inputs(shape, 2)
    _say(network, x.double(), _double(rates), train=True)
    other = disturb(_fresh(backbone, shape, None, seed=1), seed=1).double()
    other.load_state_dict(network.state_dict())
    said = [_say(n, x.double(), _double(rates)) for n in (network, other)]
    require(
        same(said[0], said[1]),
        "a second network that loads the first one's state_dict says something else: is all that "
        "counts a parameter or a buffer?",
    )
    return f"{len(network.state_dict())} tensors"


def works_without_memory(backbone: Any, _: Context) -> str:
    """On torch's meta device, where recipes are checked before anything is trained."""
    shape = _fitting(backbone)
    for device in ("meta", "cuda") if torch.cuda.is_available() else ("meta",):
        with torch.device(device), torch.random.fork_rng(), torch.no_grad():
            network = backbone(shape, None).eval()
            x, rates = _inputs(shape, 2)
            out = network(x.to(device), Rates(*(rate.to(device) for rate in rates)))
        require(out.device.type == device, f"for tensors on {device} the answer is on {out.device}")
        require(out.shape == x.shape, f"on {device} images come out as {tuple(out.shape)}")
    return device


def changes_nothing_in_place(backbone: Any, _: Context) -> str:
    """Neither x nor the rates."""
    network, shape = _made(backbone, None)
    x, rates = _inputs(shape, 2)
    x, rates = x.double(), _double(rates)
    with untouched(x=x, rates=rates):
        _say(network, x, rates)
        _say(network, x, rates, train=True)
    return "x and rates stay"


def _made(backbone: Any, classes: int | None) -> tuple[nn.Module, Shape]:
    """The network for the first size that it takes, float64, no weight as it started."""
    shape = _fitting(backbone)
    return disturb(_fresh(backbone, shape, classes)).double(), shape


def _fitting(backbone: Any) -> Shape:
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


def _fresh(backbone: Any, shape: Shape, classes: int | None, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = backbone(shape, classes)
    require(isinstance(network, nn.Module), f"it made a {type(network).__name__}, no nn.Module")
    return network  # type: ignore[no-any-return]


def _say(
    network: nn.Module,
    x: Tensor,
    rates: Rates[Tensor],
    label: Tensor | None = None,
    *,
    train: bool = False,
) -> Tensor:
    with torch.no_grad():
        if not train:
            return network.eval()(x, rates, label)  # type: ignore[no-any-return]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return network.train()(x, rates, label)  # type: ignore[no-any-return]


def _inputs(shape: Shape, count: int) -> tuple[Tensor, Rates[Tensor]]:
    """Images of unit variance, and scaled rates, another for each."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(count, *shape, generator=draw, device="cpu")
    noise = torch.linspace(0.2, 0.9, count, device="cpu")
    return x, Rates((1 - noise**2).sqrt(), noise)


def _double(rates: Rates[Tensor]) -> Rates[Tensor]:
    return Rates(*(rate.double() for rate in rates))


def _relative(a: Tensor, b: Tensor) -> float:
    """The largest difference, relative to the largest number."""
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-12))


CHECKS: Sequence[Check] = (
    keeps_shape_and_dtype,
    gradients_reach_every_parameter,
    image_and_rates_matter,
    keeps_images_apart,
    labels_matter,
    global_generator_is_for_training_only,
    state_makes_the_same_network,
    works_without_memory,
    changes_nothing_in_place,
)
