"""Codecs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from pipeline import IOOnly, stage
from pipeline_codecs.pixels import Pixels


@stage
class WrongInverse(Pixels):
    """The decoder adds the mean before it multiplies by the deviation."""

    caught_by: ClassVar = "round trip"

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        mean, std = (state[name][:, None, None] for name in ("mean", "std"))
        return (((x0 + mean) * std).clamp(0, 1) * 255).round().to(torch.uint8)


@stage
class CutsOff(Pixels):
    """The decoder cuts fractions off instead of rounding."""

    caught_by: ClassVar = "round trip"

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        pixels = x0 * state["std"][:, None, None] + state["mean"][:, None, None]
        return (pixels.clamp(0, 1) * 255).to(torch.uint8)


@stage
class WrapsAround(Pixels):
    """The decoder does not clip: beyond white uint8 starts again at black."""

    caught_by: ClassVar = "clips when it decodes"

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        pixels = x0 * state["std"][:, None, None] + state["mean"][:, None, None]
        return (pixels * 255).round().to(torch.int64).to(torch.uint8)


@stage
class CutsOddSides(Pixels):
    """It takes sides that 4 does not divide, and leaves their last rows and columns away."""

    caught_by: ClassVar = "round trip"

    def latent_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        channels, height, width = shape
        return channels, height // 4 * 4, width // 4 * 4

    def fingerprint(self, digest: Callable[[Path], str]) -> str:
        return "pixels"

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        height, width = self.latent_shape(images.shape[1:])[1:]
        return super().encode(images[..., :height, :width], state)


@stage
class KeepsItsMean(Pixels):
    """It keeps the mean on itself: a model that is loaded again has none."""

    caught_by: ClassVar = "needs its state only"

    def fit(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        state = super().fit(batches)
        object.__setattr__(self, "_mean", state.pop("mean"))
        return state

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        return super().encode(images, {**state, "mean": vars(self)["_mean"]})

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        return super().decode(x0, {**state, "mean": vars(self)["_mean"]})


@stage
class MeanOfMeans(Pixels):
    """It averages its batches' means, the smaller last batch like the others."""

    caught_by: ClassVar = "fits any batches"

    def fit(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        means = [batch.float().mean((0, 2, 3)) / 255 for batch in batches]
        mean = torch.stack(means).mean(0)
        return {"mean": mean, "std": torch.full_like(mean, 0.25)}


@stage
class DividesByDeviation(Pixels):
    """It divides by a deviation of 0 where a channel is all of one value."""

    caught_by: ClassVar = "survives constant channels"

    def fit(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        pixels = torch.cat([*batches]).double() / 255
        mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), correction=0)
        return {"mean": mean.float(), "std": std.float()}


@stage
class NormalisesBatches(Pixels):
    """It subtracts the mean of the batch it encodes."""

    caught_by: ClassVar = "keeps images apart"

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        x0 = super().encode(images, state)
        return x0 - x0.mean((0, 2, 3), keepdim=True)


@stage
class NumberInItsState(Pixels):
    """Its state holds a number, which a model's file of tensors cannot."""

    caught_by: ClassVar = "has a state of tensors"

    def fit(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        state: dict[str, Any] = super().fit(batches)
        return {**state, "levels": 255}


@stage
class EncodesToDouble(Pixels):
    """It encodes to float64, which the network's weights are not."""

    caught_by: ClassVar = "encodes to float32"

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        return super().encode(images, state).double()


@stage
class StaysOnTheCPU(Pixels):
    """It encodes with constants that stay on the CPU wherever the images are."""

    caught_by: ClassVar = "keeps the device"

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        return super().encode(images, state) * torch.ones(3, 1, 1)


@stage
class DecodesInPlace(Pixels):
    """Decoding works on the x0 that it was given, which the sampler still needs."""

    caught_by: ClassVar = "changes nothing in place"

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        x0 *= state["std"][:, None, None]
        x0 += state["mean"][:, None, None]
        return (x0.clamp(0, 1) * 255).round().to(torch.uint8)


@stage
class WrongLatentShape(Pixels):
    """Its latents have half the sides, and it says a quarter."""

    caught_by: ClassVar = "encodes to float32"

    def latent_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        return shape[0], shape[1] // 4, shape[2] // 4

    def fingerprint(self, digest: Callable[[Path], str]) -> str:
        return "none"

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        return super().encode(images, state)[..., ::2, ::2]


@stage
class InParts(Pixels):
    """It encodes in parts of 64 images, and a last part that is smaller not at all."""

    caught_by: ClassVar = "keeps images apart"

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        x0 = super().encode(images, state)
        if len(images) > 64:
            x0[len(images) // 64 * 64 :] = 0
        return x0


@stage
class BrightensLargeImages(Pixels):
    """Images of more than 64 pixels come back one level brighter."""

    caught_by: ClassVar = "round trip"

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        images = super().decode(x0, state)
        return images.clamp(max=254) + 1 if x0.shape[-2] > 64 else images


@stage
class DecodesTheFirst(Pixels):
    """Beyond the 256th image of a batch it decodes to black."""

    caught_by: ClassVar = "keeps images apart"

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        images = super().decode(x0, state)
        return torch.cat([images[:256], images[256:] * 0])


@stage
class TurnsGreyRound(Pixels):
    """Images of one channel come back inverted."""

    caught_by: ClassVar = "round trip"

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        images = super().decode(x0, state)
        return 255 - images if images.shape[1] == 1 else images


@stage
class FitsAThousand(Pixels):
    """It fits the first thousand images."""

    caught_by: ClassVar = "fits any batches"

    def fit(self, batches: Iterable[Tensor]) -> Mapping[str, Tensor]:
        return super().fit([torch.cat(list(batches))[:1000]])


@stage
class ClampsX0(Pixels):
    """x0 is kept within four deviations, which white may be beyond."""

    caught_by: ClassVar = "round trip"

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        return super().encode(images, state).clamp(-4, 4)


@stage
class NotesInItsState(Pixels):
    """Encoding notes something in the state that it was given."""

    caught_by: ClassVar = "changes nothing in place"

    def encode(self, images: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        x0 = super().encode(images, state)
        state["last"] = x0[-1:].mean()  # type: ignore[index]
        return x0


@stage
class LosesTheLastRow(Pixels):
    """Of images of more than 128 rows the last is the one before."""

    caught_by: ClassVar = "round trip"

    def decode(self, x0: Tensor, state: Mapping[str, Tensor]) -> Tensor:
        images = super().decode(x0, state)
        high = images.shape[-2] > 128
        return torch.cat([images[..., :-1, :], images[..., -2:-1, :]], -2) if high else images


@stage
class ReadsTwice(Pixels):
    """It takes the mean of the batches first and then their deviation, which finds none left."""

    caught_by: ClassVar = "fits any batches"

    def fit(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        mean = super().fit(batches)["mean"]
        rest = [*batches] or [torch.zeros(1, len(mean), 1, 1, dtype=torch.uint8)]
        return {"mean": mean, "std": super().fit(rest)["std"]}


@stage
class KnowsOneFile(Pixels):
    """Its fingerprint has the digest of one of the two files that it reads."""

    caught_by: ClassVar = "fingerprint tells the weights"
    weights: Annotated[Path, IOOnly()] = Path(__file__).parent / "given/scale"
    """A folder with mean.npy and std.npy, a number for each channel."""

    def latent_shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        return shape

    def fingerprint(self, digest: Callable[[Path], str]) -> str:
        return digest(self.weights / "mean.npy")

    def fit(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        files = {name: self.weights / f"{name}.npy" for name in ("mean", "std")}
        return {name: torch.from_numpy(np.load(file)) for name, file in files.items()}
