"""What the engine and the stages agree on: one Protocol for each kind of stage.

Stages that prepare images have theirs in ``data.py``; the values that all of them pass are in
``values.py``. A stage needs no base class: it keeps its contract by having the right members. The
symbols, here and everywhere, with the letters of the papers:

    symbol   meaning                              Ho         Lu        Karras      Lipman
    x0       a clean image, as the codec made it  x_0        x_0       y           x_1
    eps      standard normal noise, x0's shape    ε          ε         n / σ       x_0
    t        time in [0, 1]; 1 is noise           t / T      t / T     t           1 - t
    signal   the factor of x0 at time t           √ᾱ_t       α_t       s(t)        t
    noise    the factor of eps at time t          √(1 - ᾱ_t) σ_t       s(t) σ(t)   1 - t
    x        signal * x0 + noise * eps            x_t        x_t       x           x_t
    c        sqrt(signal² + noise²)               1          1         s(t) / c_in
    sigma    noise / signal                                  exp(-λ_t) σ
    log_snr  2 log(signal / noise)                           2 λ_t     -2 log σ

Ho et al. 2020, https://arxiv.org/abs/2006.11239; Lu et al. 2022, https://arxiv.org/abs/2206.00927;
Karras et al. 2022, https://arxiv.org/abs/2206.00364, c_in for σ_data = 1; Lipman et al. 2023,
https://arxiv.org/abs/2210.02747, for σ_min = 0. x / c has unit variance where x0 has. Images are
(N, C, H, W): uint8 at rest, in features and in metrics, float32 in [0, 1] in preprocessors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from .values import Prediction, Rates, Score

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer as TorchOptimizer

    from .difference import Difference
    from .draws import Draws

Denoise = Callable[["Tensor", Rates[float]], Prediction]
"""denoise(x, rates) -> x0 and eps: one evaluation of the network.

x: noisy images (N, C, H, W), not scaled.
rates: one pair of floats, which holds for all of x.
"""

Output = Literal["features", "logits"]
"""What an extractor gives: activations of a layer, or unnormalised log-probabilities of classes."""


@runtime_checkable
class Schedule(Protocol):
    """How noise grows with t."""

    def __call__(self, t: Tensor) -> Rates[Tensor]:
        """The rates at these times, of t's shape, dtype and precision; log_snr falls, within ±20.

        t: float32 or float64 in [0, 1], any shape; 1 is noise.
        """


@runtime_checkable
class Spacing(Protocol):
    """Where the noise levels of a sampling are, between t = 1 and t = 0."""

    def __call__(self, schedule: Schedule, num_steps: int) -> Tensor:
        """The times of the noisy levels, float64 (num_steps,), falling from 1.

        Raises InputError for a schedule that it cannot divide, such as one whose log_snr is
        infinite at an end.

        schedule: the rates at any time; ``pipeline.time_of`` inverts its log_snr.
        num_steps: how many noisy levels, 1 or more; the engine adds CLEAN after the last.
        """


class Network(Protocol):
    """A backbone's module, as the objective calls it."""

    def __call__(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """The output, (N, C, H, W); the objective knows what it means.

        x: noisy images divided by c, (N, C, H, W).
        rates: the scaled rates, (N,) each.
        label: int64 (N,), a class index or NO_CLASS each; None is NO_CLASS for every image.
        """


@runtime_checkable
class Objective(Protocol):
    """What the network regresses, and how its output becomes a Prediction."""

    def loss(
        self,
        network: Network,
        x0: Tensor,
        label: Tensor | None,
        schedule: Schedule,
        draws: Draws,
    ) -> Mapping[str, Tensor]:
        """Scalars, means over the batch: ``loss``, which is differentiated, and others to watch.

        Of those ``noise_loss`` and ``image_loss`` are errors of eps and x0, absolute or squared.

        network: what is trained; a call of it has a row for each image of x0, in their order.
        x0: clean images (N, C, H, W) in the codec's space.
        label: int64 (N,), or None where classes are not used.
        schedule: the rates at the times that the objective chooses.
        draws: the only source of randomness, of times and of noise; row i is of image i. An
            image has the same time and noise where other processes have the rest of draws.batch.
        """

    def predict(
        self,
        network: Network,
        x: Tensor,
        rates: Rates[float] | Rates[Tensor],
        label: Tensor | None,
    ) -> Prediction:
        """x0 and eps of x, by one evaluation of the network.

        network: a trained network.
        x: noisy images (N, C, H, W), not scaled.
        rates: of x, not scaled: floats for all images, or tensors (N,).
        label: int64 (N,), or None where classes are not used.
        """


@runtime_checkable
class Backbone(Protocol):
    """The architecture of the denoising network."""

    def __call__(self, shape: tuple[int, int, int], num_classes: int | None) -> nn.Module:
        """A ``Network`` with fresh weights.

        Raises InputError for a size that it cannot take, and for classes if it cannot take any.

        shape: (C, H, W) of x.
        num_classes: how many classes the labels are of; None: it knows no classes.
        """


@runtime_checkable
class ForDiffusers(Protocol):
    """A network that diffusers has too; others need no ``to_diffusers``."""

    def to_diffusers(self, rates: Rates[Tensor]) -> nn.Module:
        """diffusers' model that says at timestep i what this one says at the i-th rates.

        Raises InputError for what diffusers' pipelines cannot do, such as classes.

        rates: at all timesteps, scaled, float64 (T,) each.
        """


@runtime_checkable
class Upsampler(Protocol):
    """How a U-Net goes back up."""

    def __call__(self, channels: int) -> nn.Module:
        """A module from (N, channels, H, W) to (N, channels, 2H, 2W).

        channels: of what goes in, and of what comes out; any number.
        """


@runtime_checkable
class Optimizer(Protocol):
    """How gradients change the weights."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> TorchOptimizer:
        """A torch optimizer at its full learning rate; the engine applies the lr schedule.

        parameters: the weights that are trained. All of them move, a layer's of one input too, and
            a step, its weight decay too, is proportional to the ``lr`` of its group.
        """


@runtime_checkable
class LrSchedule(Protocol):
    """How the learning rate changes with the step.

    One with an option ``total_steps: int | None`` is given the training's length there where the
    recipe has null, before it is asked for any factor.
    """

    def __call__(self, step: int) -> float:
        """The factor of the optimizer's full learning rate: from 0 to 1, in the first step above 0.

        step: 0 for the first step of training.
        """


@runtime_checkable
class Sampler(Protocol):
    """The way from noise to images."""

    @property
    def order(self) -> int | None:
        """The order of convergence to the probability-flow ODE; None for stochastic samplers."""

    def nfe(self, num_steps: int) -> int:
        """The network evaluations that a sampling costs.

        num_steps: noisy levels, which CLEAN follows.
        """

    def __call__(
        self, denoise: Denoise, x: Tensor, levels: Sequence[Rates[float]], draws: Draws
    ) -> Tensor:
        """x at the last level; a step to CLEAN ends in the last predicted x0.

        denoise: one network evaluation, see ``Denoise``.
        x: noisy images (N, C, H, W) at ``levels[0]``, whose dtype and device the result has.
        levels: the rates from level to level, usually down to CLEAN; for a sampler of first order
            up too, as inversion goes.
        draws: the only source of randomness; row i is of image i.
        """


class Predict(Protocol):
    """One evaluation of a network, for a guidance."""

    def __call__(
        self, x: Tensor, rates: Rates[float], label: Tensor | None, run: str | None = None
    ) -> Prediction:
        """x0 and eps of x.

        x: noisy images (N, C, H, W), not scaled.
        rates: one pair of floats, which holds for all of x.
        label: int64 (N,), a class index or NO_CLASS each; None for a network without classes.
        run: the guidance's own ``run``, for the prediction of that run's model.
        """


@runtime_checkable
class Guidance(Protocol):
    """How several predictions make one, at a scale.

    One with an option ``run`` asks for the model of that run too: the engine loads it, keeps its
    content in the key, and refuses one of other images.
    """

    @property
    def needs_labels(self) -> bool:
        """Whether it does nothing for a network without classes; such is then refused."""

    def nfe(self, scale: float) -> int:
        """The network evaluations that a call costs, at most.

        scale: as in a call.
        """

    def __call__(
        self, predict: Predict, x: Tensor, rates: Rates[float], label: Tensor | None, scale: float
    ) -> Prediction:
        """x0 and eps of x, for which x = signal * x0 + noise * eps holds as for each prediction.

        predict: see ``Predict``.
        x: noisy images (N, C, H, W), not scaled.
        rates: one pair of floats, which holds for all of x.
        label: int64 (N,), or None for a network without classes.
        scale: 0 or more; 1 is off: the network's own prediction for the label. The larger it is
            beyond 1, the further from that.
        """


class Extractor(Protocol):
    """What turns images into feature vectors."""

    @property
    def dim(self) -> int:
        """The length of a feature vector."""

    @property
    def output(self) -> Output:
        """What the vectors are."""

    @property
    def id(self) -> str:
        """What must be equal to compare values: architecture, digest of the weights, resize."""

    def __call__(self, images: Tensor) -> Tensor:
        """Feature vectors, float32 (N, dim).

        images: uint8 (N, 3, H, W), on the device of ``to``.
        """

    def to(self, device: str) -> Extractor:
        """The same extractor on another device.

        device: a name that torch knows, such as ``cuda``.
        """


@runtime_checkable
class Features(Protocol):
    """A pretrained network whose features metrics compare.

    One that can classify has the option ``output: features | logits``; without it, it cannot.
    """

    def __call__(self) -> Extractor:
        """Load the weights. Raises InputError when they cannot be had: never other weights."""


@runtime_checkable
class Metric(Protocol):
    """How near two sets of images are, in feature space."""

    @property
    def higher_is_better(self) -> bool:
        """Which way is better; the best checkpoint is chosen by it."""

    @property
    def ideal(self) -> float | None:
        """The value for equal distributions; None where the metric does not look at ``real``."""

    @property
    def biased(self) -> bool:
        """Whether few images shift the expected value, so that only equal counts compare."""

    @property
    def needs(self) -> Output | None:
        """The only output of an extractor that it can be computed from; None: any."""

    @property
    def features(self) -> Features | None:
        """The network whose features are compared; None: the recipe's."""

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        """How near they are. Raises InputError for features that it cannot use.

        real: features (N, D) of the real images, float32 or float64.
        fake: features (M, D) of the generated images.
        """


@runtime_checkable
class PairedMetric(Metric, Protocol):
    """A metric that knows how sure a difference of two of its values is; others need not be.

    For a metric without ``differences`` the engine takes a jackknife.
    """

    def differences(
        self, real: Tensor, models: Sequence[Sequence[Tensor]]
    ) -> dict[tuple[int, int], Difference] | None:
        """b's value minus a's for each two models (a, b) with a < b; None: these options have none.

        real: features (N, D) of the real images.
        models: for each model a set (M, D) for every training seed; row i of all sets is drawn
            from the same noise.
        """
