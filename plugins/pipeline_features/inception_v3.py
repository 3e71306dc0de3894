"""Inception v3: Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, as torchvision has it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, FilePath
from torch import nn

from pipeline import IOOnly, OptionSets, Output, stage

from .network import NetworkExtractor, load, official


@stage
class InceptionV3:
    """Global average pool, 2048 features; torchvision's ImageNet weights (IMAGENET1K_V1).

    These are not the weights of the usual FID and KID tables (TensorFlow's of 2015, which
    ``inception_fid`` has): compare values with values of the same extractor id only.
    """

    image_size: Annotated[int, Field(ge=75)] = 75
    """Images are resized to this height and width, in pixels: 75 as in the book, or 299."""
    output: Output = "features"
    """features: the pool. logits: of the 1000 ImageNet classes, as ``inception_score`` needs."""
    weights: Annotated[FilePath | None, IOOnly()] = None
    """A .pth file with the state dict; none: torch.hub's cache, downloaded on first use (104 MB).
    The extractor's id holds the file's digest, so what is kept is of these weights."""

    examples: ClassVar[OptionSets] = ({"image_size": 80}, {"output": "logits"})

    def __call__(self) -> NetworkExtractor:
        """Load the weights. Raises InputError when they cannot be had: never other weights."""
        from torchvision.models import Inception3  # late: takes seconds

        network, digest = load(
            self.weights or _official(),
            lambda: Inception3(transform_input=False, init_weights=False),
        )
        if self.output == "features":
            network.fc = nn.Identity()
        dim = 2048 if self.output == "features" else 1000
        return NetworkExtractor(  # the auxiliary head is not run in eval mode
            "inception_v3", digest, self.image_size, network, network, dim, output=self.output
        )


def _official() -> Path:
    from torchvision.models import Inception_V3_Weights

    url = Inception_V3_Weights.IMAGENET1K_V1.url
    # torch.hub's convention: name-<start of SHA-256>.pth
    return official(url, Path(url).stem.rsplit("-", 1)[-1])
