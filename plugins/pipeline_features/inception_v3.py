"""Inception v3: Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, as torchvision has it."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field, FilePath
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline import IOOnly, OptionSets, Output, stage

from .network import NetworkExtractor, load, official

URL = "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth"
"""torchvision's ``Inception_V3_Weights.IMAGENET1K_V1.url``."""
FILE_SIZE = 108_949_747
SHA256 = "0cc3c7bd75056d25e46cba549dc184522069b81e9787eff6df84f397bd52a5ef"
"""torchvision gives the first 8 digits, in the file's name; the others are as several people who
downloaded it have recorded them independently."""


@stage
class InceptionV3:
    """Global average pool, 2048 features; torchvision's ImageNet weights (IMAGENET1K_V1).

    These are not the weights of the usual FID and KID tables (TensorFlow's of 2015, which
    ``inception_fid`` has): compare values with values of the same extractor id only.
    """

    image_size: Annotated[int, Field(ge=75)] = 75
    """Images are resized to this height and width, in pixels: 75 as in the book, or 299."""
    count_include_pad: bool = False
    """Whether average pools count the zeros of their padding. TensorFlow's and Keras's, for which
    these weights were trained, do not; torchvision's own network does."""
    output: Output = "features"
    """features: the pool. logits: of the 1000 ImageNet classes, as ``inception_score`` needs."""
    weights: Annotated[FilePath | None, IOOnly()] = None
    """A .pth file with the state dict; none: torch.hub's cache, downloaded on first use (104 MB).
    The extractor's id holds the file's digest, so what is kept is of these weights."""

    examples: ClassVar[OptionSets] = (
        {"image_size": 80},
        {"count_include_pad": True},
        {"output": "logits"},
    )

    def __call__(self) -> NetworkExtractor:
        """Load the weights. Raises InputError when they cannot be had: never other weights."""
        from torchvision.models import Inception3  # late: takes seconds

        network, digest = load(
            self.weights or official(URL, size=FILE_SIZE, sha256=SHA256),
            lambda: Inception3(transform_input=False, init_weights=False),
        )
        if self.output == "features":
            network.fc = nn.Identity()
        if not self.count_include_pad:
            for module in network.modules():
                if hasattr(module, "branch_pool"):  # the convolution after an average pool
                    module.branch_pool.register_forward_pre_hook(_without_padding)
        dim = 2048 if self.output == "features" else 1000
        return NetworkExtractor(  # the auxiliary head is not run in eval mode
            "inception_v3" if self.count_include_pad else "inception_v3_unpadded",
            digest,
            self.image_size,
            network,
            network,
            dim,
            output=self.output,
        )


def _without_padding(_: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    """Averages over 3×3 pixels, zeros of the padding included, to those over the pixels there."""
    (averages,) = inputs
    share = F.avg_pool2d(torch.ones_like(averages[:1, :1]), kernel_size=3, stride=1, padding=1)
    return averages / share
