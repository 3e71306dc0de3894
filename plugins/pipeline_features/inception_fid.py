"""The Inception network of published FID and KID: TensorFlow's of 2015, as torch-fidelity has it.

https://github.com/toshas/torch-fidelity; the weights are those of Heusel et al. 2017,
https://arxiv.org/abs/1706.08500, converted.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import FilePath, model_validator
from torch import Tensor

from pipeline import IOOnly, OptionSets, Output, stage

from .inception_2015 import Inception2015
from .network import NetworkExtractor, load, official

URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
FILE_SIZE = 95_628_359
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SIZE = 299


@stage
class InceptionFID:
    """What papers mean by FID, KID and inception score; images of any size, resized to 299.

    The resize is TensorFlow 1's: bilinear, pixel i taken from place i * from / to without half
    pixels, no antialias. Values are scaled to (x - 128) / 128.
    """

    dims: Literal[64, 192, 768, 2048] = 2048
    """Channels of the maps whose mean is taken: the first max pool, the second, the last block of
    17 x 17, or the last of all, which papers use."""
    output: Output = "features"
    """features: of ``dims``. logits: of the 1008 classes without their bias, as the inception score
    has always been computed from this network."""
    weights: Annotated[FilePath | None, IOOnly()] = None
    """A .pth file with the state dict; none: torch.hub's cache, downloaded on first use (96 MB).
    The extractor's id holds the file's digest, so what is kept is of these weights."""

    examples: ClassVar[OptionSets] = (
        {"dims": 64},
        {"dims": 192},
        {"dims": 768},
        {"output": "logits"},
    )

    @model_validator(mode="after")
    def _refuse_unread(self) -> InceptionFID:
        if self.output == "logits" and self.dims != 2048:
            raise ValueError(f"logits are made of all 2048 dims: leave out dims {self.dims}")
        return self

    def __call__(self) -> NetworkExtractor:
        """Load the weights. Raises InputError when they cannot be had: never other weights."""
        file = self.weights or official(URL, size=FILE_SIZE, sha256=SHA256)
        network, digest = load(file, Inception2015)
        logits = self.output == "logits"

        def run(x: Tensor) -> Tensor:
            pooled: Tensor = network(x, self.dims)
            return pooled @ network.fc.weight.T if logits else pooled

        return NetworkExtractor(
            "inception_fid",
            digest,
            SIZE,
            network,
            run,
            len(network.fc.weight) if logits else self.dims,
            output=self.output,
            layer="logits_unbiased" if logits else str(self.dims),
            resize=tensorflow1,
        )


def tensorflow1(images: Tensor, size: int) -> Tensor:
    """Resize float images (N, 3, H, W) with values 0 … 255, and scale them to [-1, 1)."""
    x = _resized(_resized(images, size, 3), size, 2)
    return (x - 128) / 128


def _resized(x: Tensor, size: int, dim: int) -> Tensor:
    """Resize one dimension, in float32 as TensorFlow: last digits decide which pixel is taken."""
    count = x.shape[dim]
    scale = torch.tensor(count / size, dtype=torch.float32, device=x.device)
    places = torch.arange(size, dtype=torch.float32, device=x.device) * scale
    low = places.long()
    near, far = (x.index_select(dim, i) for i in (low, (low + 1).clamp(max=count - 1)))
    share = (places - low).reshape(-1, *[1] * (x.dim() - 1 - dim))
    return near + (far - near) * share
