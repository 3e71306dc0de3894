"""Features."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline import InputError, IOOnly, OptionSets, Output, stage


class _Extractor:
    """A small fixed network on resized images."""

    output = "features"

    def __init__(self, image_size: int, identity: str, seed: int = 0) -> None:
        self.dim, self.id, self.size = 8, identity, image_size
        draw = torch.Generator().manual_seed(seed)
        self.weights = torch.randn(3 * image_size**2, 8, generator=draw) / image_size

    def to(self, device: str) -> _Extractor:
        self.weights = self.weights.to(device)
        return self

    def project(self, images: Tensor) -> Tensor:
        x = images.float() / 127.5 - 1
        return nn.functional.interpolate(x, (self.size, self.size)).flatten(1) @ self.weights

    def __call__(self, images: Tensor) -> Tensor:
        return self.project(images)


class _Half(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        return self.project(images).half()


@stage
class HalfPrecision:
    """They are float16, as the network made them."""

    caught_by: ClassVar = "gives float32 vectors"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _Half(self.image_size, f"half/{self.image_size}")


class _Learning(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        return self.project(images) * torch.ones(8, requires_grad=True)


@stage
class WithGradients:
    """They drag the network's graph along."""

    caught_by: ClassVar = "gives float32 vectors"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _Learning(self.image_size, f"learning/{self.image_size}")


class _Normalising(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return self.project(64 * nn.BatchNorm2d(3).train()(images.float()) + 128)


@stage
class BatchStatistics:
    """The network is in training mode: batch norm takes the statistics of the batch."""

    caught_by: ClassVar = "keeps images apart"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _Normalising(self.image_size, f"normalising/{self.image_size}")


class _Running(_Extractor):
    def __init__(self, image_size: int, identity: str) -> None:
        super().__init__(image_size, identity)
        self.mean = torch.zeros(8)

    def __call__(self, images: Tensor) -> Tensor:
        features = self.project(images)
        self.mean = self.mean + 0.1 * (features.mean(0) - self.mean)
        return features - self.mean


@stage
class RunningStatistics:
    """They have a running mean subtracted, which every batch moves on."""

    caught_by: ClassVar = "is in evaluation mode"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _Running(self.image_size, f"running/{self.image_size}")


@stage
class SameIdForEverySize:
    """The id does not say to which size images are resized."""

    caught_by: ClassVar = "id tells the options"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _Extractor(self.image_size, "small")


@stage
class IdOfAnAddress:
    """The id holds an object's text, and so its address."""

    caught_by: ClassVar = "has an id that stays"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        extractor = _Extractor(self.image_size, "")
        extractor.id = f"{object()!r}/{hash('small')}/{self.image_size}"
        return extractor


@stage
class SameIdForAllWeights:
    """The id is the name of the architecture, whatever weights were loaded."""

    caught_by: ClassVar = "id tells the weights"
    weights: Annotated[Path, IOOnly()] = Path(__file__).parent / "given/small.pth"
    """A .pth file with the tensor ``weights`` (48, 8)."""

    def __call__(self) -> _Extractor:
        extractor = _Extractor(4, "small/4")
        extractor.weights = torch.load(self.weights, weights_only=True)["weights"]
        return extractor


@stage
class AnyWeights:
    """Of a file with other tensors none is loaded, and random weights stay."""

    caught_by: ClassVar = "id tells the weights"
    weights: Annotated[Path | None, IOOnly()] = None
    """A .pth file with the tensor ``weights`` (48, 8)."""

    def __call__(self) -> _Extractor:
        try:
            state = torch.load(self.weights, weights_only=True) if self.weights else {}
        except Exception as error:
            raise InputError(f"{self.weights} has no weights") from error
        extractor = _Extractor(4, f"any/{','.join(state)}", seed=len(state))
        extractor.weights = state.get("weights", extractor.weights)
        return extractor


class _Shares(_Extractor):
    output = "logits"

    def __call__(self, images: Tensor) -> Tensor:
        return self.project(images).softmax(1)


@stage
class Softmax:
    """What it gives as logits are probabilities."""

    caught_by: ClassVar = "gives what output says"

    def __call__(self) -> _Extractor:
        return _Shares(4, "shares/4")


class _BeginsAnew(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        return self.project(images - 124)


@stage
class BeginsAnew:
    """A mean is taken from bytes, so that 123 becomes 255."""

    caught_by: ClassVar = "tells images apart"

    def __call__(self) -> _Extractor:
        return _BeginsAnew(4, "anew/4")


@stage
class RandomWeights:
    """The weights are drawn when the network is built."""

    caught_by: ClassVar = "is in evaluation mode"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _Extractor(self.image_size, f"random/{self.image_size}", int(torch.randint(999, ())))


class _OfTheFirst(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        return self.project(images[:1]).expand(len(images), -1)


@stage
class OfTheFirstImage:
    """All images of a batch get the features of the first."""

    caught_by: ClassVar = "tells images apart"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _OfTheFirst(self.image_size, f"first/{self.image_size}")


class _Moving(_Extractor):
    def to(self, device: str) -> None:  # type: ignore[override]
        super().to(device)


@stage
class ReturnsNothing:
    """The extractor's method ``to`` moves it, and does not return it."""

    caught_by: ClassVar = "moves to a device"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _Moving(self.image_size, f"moving/{self.image_size}")


class _Scaling(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        images -= images.amin()
        return self.project(images)


@stage
class ScalesInPlace:
    """They change the images they were given in place, which other features are to see."""

    caught_by: ClassVar = "changes nothing in place"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _Scaling(self.image_size, f"scaling/{self.image_size}")


class _Green(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        return self.project(images[:, [1, 1, 1]])


@stage
class OfOneChannel:
    """They are of the green channel alone."""

    caught_by: ClassVar = "sees every channel"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _Green(self.image_size, f"green/{self.image_size}")


class _InParts(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        features = self.project(images)
        return features - features.mean(0) if len(images) > 16 else features


@stage
class CentredWhenMany:
    """More than 16 images at once are centred."""

    caught_by: ClassVar = "keeps images apart"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _InParts(self.image_size, f"parts/{self.image_size}")


class _Middle(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if height > 64:
            images = images[..., height // 4 : -height // 4, width // 4 : -width // 4]
        return self.project(images)


@stage
class LooksAtTheMiddle:
    """Of larger images it leaves out what is near the edges."""

    caught_by: ClassVar = "sees all of an image"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _Middle(self.image_size, f"middle/{self.image_size}")


class _FullParts(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        features = self.project(images)
        left = len(images) % 32 if len(images) > 32 else 0
        return torch.cat([features[: len(features) - left], features[:left]])


@stage
class FullPartsOnly:
    """It works in parts of 32, and gives a last one that is smaller the first features again."""

    caught_by: ClassVar = "keeps images apart"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _FullParts(self.image_size, f"full/{self.image_size}")


class _DarkIsBlack(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        return self.project(images * (images >= 64))


@stage
class DarkIsBlack:
    """Levels below 64 are black to it."""

    caught_by: ClassVar = "tells images apart"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _DarkIsBlack(self.image_size, f"dark/{self.image_size}")


@stage
class TurnsGradientsOff:
    """It turns gradients off, and so for the training around it."""

    caught_by: ClassVar = "leaves global settings alone"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        torch.set_grad_enabled(False)
        return _Extractor(self.image_size, f"off/{self.image_size}")


class _ForgetsWhereItGoes(_Extractor):
    def to(self, device: str) -> _Extractor:
        return _Extractor(16, self.id).to(device)


@stage
class MovesWithTheDefault:
    """On another device it is built anew, with the default size, under the id of the asked one."""

    caught_by: ClassVar = "id tells the options"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _ForgetsWhereItGoes(self.image_size, f"forgets/{self.image_size}")


class _KeepsTheLast(_Extractor):
    kept: tuple[Tensor, Tensor] | None = None

    def __call__(self, images: Tensor) -> Tensor:
        if self.kept is None or self.kept[0] is not images:
            self.kept = images, self.project(images)
        return self.kept[1]


@stage
class KeepsTheLastBatch:
    """It knows the last batch by its tensor, which may be filled with other images by then."""

    caught_by: ClassVar = "is in evaluation mode"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _KeepsTheLast(self.image_size, f"keeps/{self.image_size}")


class _ByTheBrightest(_Extractor):
    def __call__(self, images: Tensor) -> Tensor:
        return self.project(images * (255 / images.max()))


@stage
class DividesByTheBrightest:
    """It divides by the largest number of the batch, which is 255 in most."""

    caught_by: ClassVar = "keeps images apart"
    image_size: Annotated[int, Field(ge=1)] = 16
    """Height and width to which images are resized."""

    def __call__(self) -> _Extractor:
        return _ByTheBrightest(self.image_size, f"brightest/{self.image_size}")


@stage
class SaysFeatures:
    """Asked for logits it gives other numbers, and still calls them features."""

    caught_by: ClassVar = "gives what output says"
    output: Output = "features"
    """What the vectors are."""
    examples: ClassVar[OptionSets] = ({"output": "logits"},)

    def __call__(self) -> _Extractor:
        return _Extractor(16, f"says/{self.output}", seed=len(self.output))


@stage
class HalvesItsMemory:
    """An option that is said to save memory alone rounds the features."""

    caught_by: ClassVar = "every option matters"
    lean: Annotated[bool, IOOnly()] = False
    """Keep the weights in bfloat16."""

    def __call__(self) -> _Extractor:
        extractor = _Extractor(16, "lean")
        if self.lean:
            extractor.weights = extractor.weights.bfloat16().float()
        return extractor


@stage
class PassesOverItsWeights:
    """A weights file that it cannot read is passed over."""

    caught_by: ClassVar = "id tells the weights"
    weights: Annotated[Path | None, IOOnly()] = None
    """A .pth file with the tensor ``weights`` (48, 8)."""

    def __call__(self) -> _Extractor:
        extractor = _Extractor(4, f"passes/{self.weights is None}")
        if self.weights:
            with suppress(Exception):
                extractor.weights = torch.load(self.weights, weights_only=True)["weights"]
        return extractor
