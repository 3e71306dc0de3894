"""Checks of guidances: off at scale 1, true to x, by as many evaluations as it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import torch
from torch import Tensor

from ...plugin.contracts import Guidance
from ...plugin.draws import Draws
from ...plugin.values import NO_CLASS, Prediction, Rates
from ..context import Check, Context, Wrong, require
from ..problems.turns import in_turn
from ..same import untouched

SCALES = (0.0, 0.3, 1.0, 1.5, 3.0, 12.5, 40.0)
SIGMAS = (0.003, 0.1, 0.4, 0.9, 2.0, 4.5, 20.0, 80.0)
"""Noise levels from nearly clean to far beyond what schedules have."""
CLASSES = 5
MANY = 131
"""Images of a large batch."""
ERROR = 1e-9
"""The largest difference allowed of float64 numbers of about 1: a hundred times what rounding
leaves at the largest scale."""


class Network:
    """A predictor whose answer is known for every label, and another one for the guidance's run."""

    def __init__(self, run: str | None) -> None:
        self.run, self.calls = run, 0
        self.others: list[Prediction] = []
        """What it answered for other labels than the first image's, or of the other model."""

    def __call__(
        self, x: Tensor, rates: Rates[float], label: Tensor | None, run: str | None = None
    ) -> Prediction:
        """The expected x0 of N(mean of label and place, 1); of the other model it is near 0."""
        if not isinstance(rates, Rates) or not isinstance(rates.signal, float):
            raise Wrong("it calls predict with other rates than a pair of floats: give it its own")
        if run is not None and run != self.run:
            raise Wrong(f"it calls predict with run={run!r}, which is not its option run")
        if label is not None and label.shape != x.shape[:1]:
            raise Wrong(f"it calls predict with {len(x)} images and labels {tuple(label.shape)}")
        self.calls += 1
        means = torch.linspace(-1, 1.3, CLASSES).to(x)  # none is 0, which no class has
        mean = x.new_zeros(len(x)) if label is None else _of(means, label)
        share = rates.signal / rates.c**2 * (0.5 if run else 1.0)
        places = torch.linspace(0.5, 1.5, x[0].numel()).to(x).reshape(x.shape[1:])
        x0 = share * x + (1 - share * rates.signal) * mean[:, None, None, None] * places
        answer = Prediction(x0, (x - rates.signal * x0) / rates.noise)
        if run or (label is not None and label[0] == NO_CLASS):
            self.others.append(answer)
        return answer


def behaviour(guidance: Guidance) -> list[Prediction]:
    """What it makes at each level and scale, with labels and without."""
    cases = product((_labels(4), None), _levels(), SCALES)
    return in_turn(lambda case: _guided(guidance, *case), cases)


def is_off_at_scale_1(guidance: Guidance, _: Context) -> str:
    """The network's own prediction for the label, by one evaluation."""
    for rates, label, x in _inputs():
        network = _network(guidance)
        found, own = guidance(network, x, rates, label, 1.0), _network(guidance)(x, rates, label)
        away = _away(found, own)
        require(away < ERROR, f"at scale 1 it is {away:.3g} away from the network's own prediction")
        require(
            network.calls == guidance.nfe(1.0) == 1,
            f"at scale 1 it evaluates networks {network.calls} times and says {guidance.nfe(1.0)}: "
            "one evaluation is enough",
        )
    return "exactly, by one evaluation"


def keeps_x(guidance: Guidance, _: Context) -> str:
    """x = signal * x0 + noise * eps, as for each prediction: samplers use either."""
    worst = 0.0
    for rates, label, x in _inputs():
        for scale in SCALES:
            found = guidance(_network(guidance), x, rates, label, scale)
            whole = rates.signal * found.x0 + rates.noise * found.eps
            worst = max(worst, float((whole - x).abs().max()) / rates.c)
            require(
                worst < ERROR,
                f"signal * x0 + noise * eps is {worst:.3g} away from x at scale {scale:g}: weights "
                "of predictions should sum to 1, and be the same for x0 and eps",
            )
    return f"within {worst:.1g}"


def nfe_is_what_it_costs(guidance: Guidance, _: Context) -> str:
    """No call evaluates networks more often than it says, and one at each scale as often."""
    told = []
    for scale in SCALES:
        said: object = guidance.nfe(scale)
        if not isinstance(said, int) or said < 1:
            raise Wrong(f"nfe({scale:g}) is {said!r}, not a number of evaluations")
        most = 0
        for rates, label, x in _inputs(labelled=True):
            network = _network(guidance)
            guidance(network, x, rates, label, scale)
            most = max(most, network.calls)
        require(
            most == said,
            f"nfe({scale:g}) is {said}, and its calls evaluate networks {most} times at most",
        )
        told.append(f"{said} at {scale:g}")
    return ", ".join(told)


def a_scale_goes_further(guidance: Guidance, _: Context) -> str:
    """The larger the scale, the further from the unguided prediction, and away from the worse."""
    each = {f"class {i}": torch.full((4,), i) for i in range(CLASSES)}
    no_label = {} if guidance.needs_labels else {"no label": None}
    for what, label in {"several classes": _labels(4), **each, **no_label}.items():
        furthest = 0.0
        for rates in _levels():
            steps = [_guided(guidance, label, rates, scale) for scale in SCALES[2:]]
            away = [_away(step, steps[0]) for step in steps[1:]]
            further = all(b > a for a, b in pairwise([0.0, *away]))
            require(
                further or max(away) < ERROR,
                f"at sigma {rates.noise:g} larger scales do not go further: {away}",
            )
            furthest = max(furthest, away[-1] - away[0])
            gone, own = steps[-1].x0 - steps[0].x0, steps[0].x0
            along = [float((gone * (own - x0)).sum()) for x0 in _worse(guidance, label, rates)]
            require(
                all(value > -ERROR for value in along),
                f"at sigma {rates.noise:g} a larger scale goes towards the prediction without the "
                "label, or of the other model: do two predictions have each other's place?",
            )
        require(
            furthest > 0.01,
            f"for images of {what} no scale from 1.5 to {SCALES[-1]:g} changes what it makes",
        )
    return "at every noise level, or not at all"


def says_whether_it_needs_labels(guidance: Guidance, _: Context) -> str:
    """Without labels it does nothing, if it needs them, and something, if it does not."""
    needs: object = guidance.needs_labels
    if not isinstance(needs, bool):
        raise Wrong(f"needs_labels is {needs!r}, not a truth value")
    away = 0.0
    for rates in _levels():
        found, own = (_guided(guidance, None, rates, scale) for scale in (3.0, 1.0))
        away = max(away, _away(found, own))
    require(
        (away < ERROR) == needs,
        f"needs_labels is {needs}, and without labels scale 3 changes what it makes by {away:.3g}",
    )
    return "it does" if needs else "it does not"


def keeps_images_apart(guidance: Guidance, _: Context) -> str:
    """Each image is guided as if it were alone; those of no class among them."""
    for rates, label, x in _inputs(labelled=True, counts=(6, MANY)):
        whole = guidance(_network(guidance), x, rates, label, 3.0)
        for rows in ([0], [1], [2], [len(x) - 1], range(1, len(x), 2), range(0, len(x), 2)):
            some = list(rows)
            own = None if label is None else label[some]
            part = guidance(_network(guidance), x[some], rates, own, 3.0)
            away = _away(part, Prediction(whole.x0[some], whole.eps[some]))
            require(away < ERROR, f"an image is {away:.3g} away from itself among others")
    return "each as if alone"


def keeps_dtype_and_layout(guidance: Guidance, _: Context) -> str:
    """float32 and float64, any shape, channels last or not."""
    for dtype in (torch.float32, torch.float64):
        for shape in ((1, 3, 8, 8), (7, 1, 4, 6)):
            for x in (_noise(shape, dtype), _noise(shape, dtype).contiguous(memory_format=LAST)):
                found = guidance(_network(guidance), x, Rates(0.6, 0.8), _labels(shape[0]), 3.0)
                for name, part in zip(("x0", "eps"), found, strict=True):
                    require(
                        part.dtype == dtype and part.shape == x.shape,
                        f"for {dtype} {shape} {name} is {part.dtype} {tuple(part.shape)}",
                    )
    return "float32 and float64, as x"


def changes_nothing_in_place(guidance: Guidance, _: Context) -> str:
    """x and labels are still what they were, and so is what predict gave."""
    x, label, given = _noise((4, 3, 8, 8), torch.float64), _labels(4), list[Prediction]()
    network = _network(guidance)

    def predict(
        x: Tensor, rates: Rates[float], label: Tensor | None, run: str | None = None
    ) -> Prediction:
        given.append(network(x, rates, label, run))
        copies.append(Prediction(*(part.clone() for part in given[-1])))
        return given[-1]

    copies: list[Prediction] = []
    with untouched(x=x, label=label):
        guidance(predict, x, Rates(0.6, 0.8), label, 3.0)
    for one, copy in zip(given, copies, strict=True):
        require(_away(one, copy) == 0, "it changes in place what predict gave")
    return "x, labels and predictions stay"


CHECKS: Sequence[Check] = (
    is_off_at_scale_1,
    keeps_x,
    nfe_is_what_it_costs,
    a_scale_goes_further,
    says_whether_it_needs_labels,
    keeps_images_apart,
    keeps_dtype_and_layout,
    changes_nothing_in_place,
)

LAST = torch.channels_last


def _network(guidance: Guidance) -> Network:
    return Network(getattr(guidance, "run", None))


def _levels() -> Iterator[Rates[float]]:
    """Rates of unit variance, and of a clean image with noise added."""
    for sigma in SIGMAS:
        c = (1 + sigma**2) ** 0.5
        yield Rates(1 / c, sigma / c)
        yield Rates(1.0, sigma)


def _inputs(
    *, labelled: bool = False, counts: Sequence[int] = (1, 6)
) -> Iterator[tuple[Rates[float], Tensor | None, Tensor]]:
    for rates in _levels():
        for count in counts:
            x = rates.c * _noise((count, 2, 4, 4), torch.float64)
            yield rates, _labels(count), x
            if not labelled:
                yield rates, None, x


def _noise(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return Draws(1, "sample", range(shape[0])).normal(torch.empty(shape, dtype=dtype))


def _labels(count: int) -> Tensor:
    """Classes in turn; the third image has none."""
    label = torch.arange(count) % CLASSES
    label[2:3] = NO_CLASS
    return label


def _of(means: Tensor, label: Tensor) -> Tensor:
    """The mean of each label, 0 for no class."""
    return torch.where(label == NO_CLASS, 0.0, means[label.clamp(min=0)])


def _guided(
    guidance: Guidance, label: Tensor | None, rates: Rates[float], scale: float
) -> Prediction:
    x = rates.c * _noise((4, 2, 4, 4), torch.float64)
    return guidance(_network(guidance), x, rates, label, scale)


def _worse(guidance: Guidance, label: Tensor | None, rates: Rates[float]) -> list[Tensor]:
    """The x0 without the label, or of the other model, that a call at a large scale asks for."""
    network, x = _network(guidance), rates.c * _noise((4, 2, 4, 4), torch.float64)
    guidance(network, x, rates, label, 12.5)
    return [answer.x0 for answer in network.others]


def _away(one: Prediction, other: Prediction) -> float:
    """The largest difference of either part."""
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))
