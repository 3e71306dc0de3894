"""The contracts of the stages that prepare images; ``contracts.py`` has the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image
    from torch import Tensor

    from .draws import Draws


class Source(Protocol):
    """A dataset's images, opened one at a time, from any thread; what a dataset stage makes.

    It may also have ``held_out``, a truth value for each image: whether it is for validation,
    whatever the recipe's split says. And ``remarks``, texts that the user is told.
    """

    @property
    def labels(self) -> Sequence[int | None]:
        """The class index of each image, or None."""

    @property
    def parts(self) -> Sequence[str]:
        """The official part of each image (``train``, …); the split is made within each."""

    @property
    def class_names(self) -> Sequence[str]:
        """The names of the classes by their index; empty where there are no classes."""

    def __len__(self) -> int:
        """How many images there are."""

    def image(self, index: int) -> Path | Image:
        """Image ``index``: a file, which the engine opens and turns to RGB, or an RGB picture.

        No file is two images: one would be trained on and the other validated with.
        """

    def fingerprint(self, digest: Callable[[Path], str]) -> str:
        """A text that changes when one pixel, label or class name does.

        digest: hashes the content of a file, and remembers it.
        """


@runtime_checkable
class Dataset(Protocol):
    """Where images come from."""

    def __call__(self) -> Source:
        """List the images, without decoding them. Raises InputError when they are not there."""


@runtime_checkable
class Preprocessor(Protocol):
    """A deterministic change of one image, run once and cached."""

    def __call__(self, image: Tensor) -> Tensor:
        """The changed image, of any size and of 1 or 3 channels, the same number for all images.

        image: float32 (C, H, W) in [0, 1], as is the result.
        """


@runtime_checkable
class Codec(Protocol):
    """The way between uint8 images and the space in which the model works.

    One that loses something of an image by design has ``lossless: ClassVar[bool] = False``.
    """

    def fit(self, batches: Iterable[Tensor]) -> Mapping[str, Tensor]:
        """The state, which is saved with the model.

        batches: the training images, uint8 (N, C, H, W) each. They can be read once only.
        """

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        """x0, float32.

        images: uint8 (N, C, H, W).
        state: what ``fit`` gave.
        """

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        """uint8 images (N, C, H, W), clipped to their range.

        x0: float32, of any values.
        state: what ``fit`` gave.
        """


@runtime_checkable
class LatentCodec(Codec, Protocol):
    """A codec whose x0 has another shape than the images; others have neither of these.

    The engine encodes all images once, before training, and keeps x0 in the store.
    """

    def latent_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """(C, H, W) of x0. Raises InputError for images that the codec cannot take.

        shape: (C, H, W) of the images.
        """

    def fingerprint(self, digest: Callable[[Path], str]) -> str:
        """A text that changes when one weight does.

        digest: hashes the content of a file, and remembers it.
        """


def x0_shape(codec: Codec, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """(C, H, W) of what a codec makes of images of this shape."""
    return codec.latent_shape(shape) if isinstance(codec, LatentCodec) else shape


@runtime_checkable
class Augmentation(Protocol):
    """A random change of training images, run in every step."""

    def __call__(self, images: Tensor, draws: Draws) -> Tensor:
        """The changed images, of the same shape and dtype.

        Raises InputError for a number of channels that it cannot take.

        images: uint8 (N, C, H, W), on the device that trains.
        draws: the only source of randomness; row i is of image i.
        """
