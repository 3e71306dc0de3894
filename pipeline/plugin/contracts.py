"""What the engine and the stages agree on: the values they pass and one Protocol per kind of stage.

Images are NCHW. At rest, in features and in metrics they are uint8; preprocessors and codecs see
float32 in [0, 1]. A noisy image is ``x = signal * x0 + noise * eps`` with eps standard normal; this
covers variance-preserving, variance-exploding and flow schedules alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor, nn
    from torch.optim import Optimizer as TorchOptimizer

    from .difference import Difference
    from .draws import Draws

Number = TypeVar("Number", bound="float | Tensor")

MAX_LOG_SNR = 20.0
"""Bound on |log_snr| of every schedule: beyond it float32 cannot tell signal from noise."""


class Rates(NamedTuple, Generic[Number]):
    """How much of x is signal and how much is noise: floats, or tensors of one shape."""

    signal: Number
    noise: Number

    @property
    def c(self) -> Number:
        """sqrt(signal² + noise²): x / c has unit variance; 1 for variance-preserving schedules."""
        return self._any(lambda signal, noise: (signal**2 + noise**2) ** 0.5)

    @property
    def scaled(self) -> Rates[Number]:
        """The rates of x / c, which is what every network sees."""
        c: Any = self.c
        return Rates(self._any(lambda signal, _: signal / c), self._any(lambda _, noise: noise / c))

    @property
    def sigma(self) -> Number:
        """noise / signal: the noise level of Karras et al. 2022 for x / signal."""
        return self._any(lambda signal, noise: noise / signal)

    @property
    def log_snr(self) -> Number:
        """2 log(signal / noise)."""
        log = math.log if isinstance(self.signal, float) else type(self.signal).log
        return self._any(lambda signal, noise: 2 * log(signal / noise))

    def _any(self, formula: Callable[[Any, Any], Any]) -> Number:
        """A formula that holds for floats and for tensors, which types cannot say."""
        return formula(self.signal, self.noise)  # type: ignore[no-any-return]

    def over(self, x: Tensor) -> Rates[Tensor]:
        """As tensors that broadcast over the images x: (N, 1, 1, 1) with N = len(x) or 1."""
        shape = (-1, *[1] * (x.dim() - 1))
        rates: tuple[Any, Any] = (self.signal, self.noise)
        signal, noise = (x.new_tensor(r) if isinstance(r, float) else r for r in rates)
        return Rates(signal.reshape(shape).to(x), noise.reshape(shape).to(x))


NO_CLASS = -1
"""The label of "no class": what conditional networks see of dropped labels and without guidance."""

CLEAN = Rates(1.0, 0.0)
"""The last level of every sampling: no noise is left."""


class Prediction(NamedTuple):
    """What a network's output says of x = signal * x0 + noise * eps: its image and its noise."""

    x0: Tensor
    eps: Tensor


Denoise = Callable[["Tensor", Rates[float]], Prediction]
"""denoise(x, rates): x (N, C, H, W), one pair of rates for all of it; one network evaluation."""


@dataclass(frozen=True)
class Score:
    """A metric's value. Values can be compared where ``protocol`` says the same of both."""

    value: float
    standard_error: float | None = None
    """Of the value, for finite samples of the same networks; None where the metric has none."""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """What the metric itself did (estimator, …); the engine adds images, extractor and sampler."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """Further values by name that ``value`` was made from, such as precision and recall."""


class Source(Protocol):
    """A dataset's images, opened one at a time, from any thread; what a dataset stage makes."""

    labels: Sequence[int | None]
    """A class index for each image, or None."""
    parts: Sequence[str]
    """The official part of each image (``train``, ``test``, …); the split is made within each."""
    class_names: Sequence[str]
    """Empty where there are no classes."""

    def __len__(self) -> int: ...

    def image(self, index: int) -> Path | Image:
        """An image file, or an RGB picture. The engine opens files and turns them to RGB."""

    def fingerprint(self, digest: Callable[[Path], str]) -> str:
        """Changes when one pixel or label does. ``digest`` hashes a file and remembers it."""


class Dataset(Protocol):
    """Where images come from."""

    def __call__(self) -> Source:
        """List the images, without decoding them. Raises InputError when they are not there."""


class Preprocessor(Protocol):
    """A deterministic change of one image, run once and cached."""

    def __call__(self, image: Tensor) -> Tensor:
        """float32 (C, H, W) in [0, 1] -> the same, of any size."""


class Codec(Protocol):
    """Between uint8 images and the space in which the model works."""

    def fit(self, batches: Iterable[Tensor]) -> Mapping[str, Tensor]:
        """From the training images, uint8 (N, C, H, W) a batch: the state saved with the model."""

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        """uint8 (N, C, H, W) -> float32 x0."""

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        """x0 -> uint8 (N, C, H, W); clips."""


class Augmentation(Protocol):
    """A random change of training images, run in every step."""

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """uint8 (N, C, H, W) -> the same; all randomness from draws."""


class Schedule(Protocol):
    """How noise grows with t."""

    def __call__(self, t: Tensor) -> Rates[Tensor]:
        """T in [0, 1], any shape; t = 1 is noise. log_snr falls, |log_snr| <= 20; t's dtype."""


class Network(Protocol):
    """A backbone's module, as the objective calls it."""

    def __call__(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """X / c (N, C, H, W), its scaled rates (N,), labels int64 (N,) -> (N, C, H, W).

        A label is a class index or NO_CLASS; no label at all is NO_CLASS for every image.
        """


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
        """Scalars, ``loss`` (differentiated) and others that are logged, means over the batch."""

    def predict(
        self, network: Network, x: Tensor, rates: Rates[Any], label: Tensor | None
    ) -> Prediction:
        """Noisy x (N, C, H, W), rates floats or (N,) -> x0 and eps of the unscaled x."""


class Backbone(Protocol):
    """The architecture of the denoising network."""

    def __call__(self, shape: tuple[int, int, int], num_classes: int | None) -> nn.Module:
        """For images (C, H, W), with fresh weights; ``num_classes`` None: it knows no classes.

        Raises InputError for a size that it cannot take, and for classes if it cannot take any.
        """


class Upsampler(Protocol):
    """How a U-Net goes back up."""

    def __call__(self, channels: int) -> nn.Module:
        """(N, channels, H, W) -> (N, channels, 2H, 2W)."""


class Optimizer(Protocol):
    """How gradients change the weights."""

    def __call__(self, parameters: Iterable[nn.Parameter]) -> TorchOptimizer:
        """A torch optimizer at its full learning rate; the engine applies the lr schedule."""


class LrSchedule(Protocol):
    """How the learning rate changes with the step."""

    def __call__(self, step: int) -> float:
        """The factor of the optimizer's learning rate in step 0, 1, …"""


class Sampler(Protocol):
    """From noise to images."""

    @property
    def order(self) -> int | None:
        """Of convergence to the probability-flow ODE; None for stochastic samplers."""

    def nfe(self, num_steps: int) -> int:
        """Network evaluations that ``num_steps`` noisy levels followed by CLEAN cost."""

    def __call__(
        self, denoise: Denoise, x: Tensor, levels: Sequence[Rates[float]], draws: Draws
    ) -> Tensor:
        """X at levels[0] -> x at levels[-1]. A step to CLEAN ends in the last x0."""


Output = Literal["features", "logits"]
"""What an extractor gives: activations of a layer, or unnormalised log-probabilities of classes."""


class Extractor(Protocol):
    """Images to feature vectors."""

    dim: int
    output: Output
    id: str
    """What a comparison needs to be equal: architecture, digest of the weights, size, resize."""

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, H, W), on the device of ``to`` -> float32 (N, dim)."""

    def to(self, device: str) -> Extractor:
        """The same on another device."""


class Features(Protocol):
    """A pretrained network whose features metrics compare.

    One that can classify has the option ``output: features | logits``; without it, it cannot.
    """

    def __call__(self) -> Extractor:
        """Load the weights. Raises InputError when they cannot be had: never other weights."""


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

    def __call__(self, real: Tensor, fake: Tensor) -> Score:
        """Features (N, D) and (M, D), float32 or float64."""


class PairedMetric(Metric, Protocol):
    """A metric that knows how sure a difference of two of its values is."""

    def differences(
        self, real: Tensor, models: Sequence[Sequence[Tensor]]
    ) -> dict[tuple[int, int], Difference] | None:
        """Of each two models (a, b), a < b: b's value minus a's. None: not with these options.

        Features (N, D), and for each model one (M, D) a training seed, row i of all sets drawn from
        the same noise. Without this method a jackknife is used, ``comparing/samples.py``.
        """
