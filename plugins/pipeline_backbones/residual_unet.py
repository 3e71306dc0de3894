"""A residual U-Net: Ronneberger et al. 2015 (https://arxiv.org/abs/1505.04597) with the residual
blocks and the noise embedding of the Keras example "Denoising Diffusion Implicit Models" (2022).

A class adds its own number to each channel within each block, as the label embedding of Dhariwal &
Nichol 2021 (https://arxiv.org/abs/2105.05233) does by way of a layer for all blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pixel_shuffle, pixel_unshuffle, silu

from pipeline import NO_CLASS, OptionSets, Rates, Stage, Upsampler, stage
from pipeline_upsamplers.bilinear import Bilinear

from .conditioning import refuse_classes
from .sizes import check_halvings

GROUP = 16
"""The fewest channels that are normalised together: a group of few would lose the noise level,
which is constant over the image."""


@stage
class ResidualUNet:
    """Convolutions only; 1,950,627 parameters with the defaults, 3 channels and no classes."""

    widths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (
        32,
        64,
        96,
        128,
    )
    """Channels of each level; each but the last is followed by a halving of the image."""
    block_depth: Annotated[int, Field(ge=1)] = 2
    """Residual blocks a level, on the way down and on the way up."""
    patch: Annotated[int, Field(ge=1)] = 1
    """Pixels of a square of this side are the channels of one place (Shi et al. 2016,
    https://arxiv.org/abs/1609.05158): 2 leaves a quarter of the places to compute at."""
    embedding_dims: Annotated[int, Field(ge=4, multiple_of=2)] = 32
    """Channels of the noise embedding: half sines, half cosines."""
    embedding_max_frequency: Annotated[float, Field(gt=1)] = 1000.0
    """Frequencies are log-spaced from 1 to this."""
    upsampler: Annotated[Upsampler, Stage("upsampler")] = Bilinear()
    """How the image grows back."""
    norm: Literal["batch", "group"] = "batch"
    """batch: over the batch, as in the book, with the running average when sampling. group: over
    each image in groups of 16 channels or more (Wu & He 2018, https://arxiv.org/abs/1803.08494),
    so that an image does not depend on others in training either. Neither scales or shifts."""

    examples: ClassVar[OptionSets] = (
        {
            "widths": [8, 12],
            "block_depth": 1,
            "embedding_dims": 8,
            "embedding_max_frequency": 100.0,
            "upsampler": "transposed_conv",
            "norm": "group",
        },
        {"widths": [8, 12], "block_depth": 1, "patch": 2},
    )

    def __call__(self, shape: tuple[int, int, int], num_classes: int | None) -> nn.Module:
        """The network for images of ``shape`` (C, H, W), with fresh weights."""
        check_halvings("residual_unet", len(self.widths), *shape[1:], self.patch)
        return UNet(self, shape[0], num_classes)


class UNet(nn.Module):
    """forward(x (N, C, H, W), rates (N,)) -> (N, C, H, W); 0 before the first training step."""

    def __init__(self, options: ResidualUNet, channels: int, num_classes: int | None) -> None:
        super().__init__()
        *levels, middle = options.widths
        self.patch = options.patch
        channels *= self.patch**2
        depth = options.block_depth
        self.knows_classes = num_classes is not None
        block = partial(ResidualBlock, norm=options.norm, num_classes=num_classes)
        self.embed = Sinusoidal(options.embedding_dims, options.embedding_max_frequency)
        self.enter = nn.Conv2d(channels, options.widths[0], 1)
        last = options.widths[0] + options.embedding_dims
        skips: list[int] = []
        self.down = nn.ModuleList()
        for width in levels:
            self.down.append(_chain(block, last, width, depth))
            skips += [width] * depth
            last = width
        self.middle = _chain(block, last, middle, depth)
        last = middle
        self.up = nn.ModuleList()
        self.grow = nn.ModuleList()
        for width in reversed(levels):
            self.grow.append(options.upsampler(last))
            blocks = nn.ModuleList()
            for _ in range(depth):
                blocks.append(block(last + skips.pop(), width))
                last = width
            self.up.append(blocks)
        self.leave = nn.Conv2d(last, channels, 1)
        _initialise(self.enter)
        _initialise(self.leave)
        # The network starts by predicting zero, so that its first loss is the data's own.
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """The noise level is seen as noise², spread over the image; labels (N,) by every block."""
        if not self.knows_classes:
            refuse_classes(label)
        if label is None:
            label = x.new_full(x.shape[:1], NO_CLASS, dtype=torch.int64)
        x = self.enter(pixel_unshuffle(x, self.patch))
        spread = self.embed(rates.noise**2)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        x = torch.cat([x, spread], dim=1)
        skips = []
        for blocks in self.down:
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x, label)
                skips.append(x)
            x = avg_pool2d(x, 2)
        for block in self.middle:
            x = block(x, label)
        for grow, blocks in zip(self.grow, self.up, strict=True):
            x = grow(x)
            for block in blocks:  # type: ignore[attr-defined]
                x = block(torch.cat([x, skips.pop()], dim=1), label)
        return pixel_shuffle(self.leave(x), self.patch)


class ResidualBlock(nn.Module):
    """Normalise, convolve, SiLU, convolve, and add the input (He et al. 2016, arXiv:1603.05027)."""

    def __init__(
        self, before: int, width: int, norm: Literal["batch", "group"], num_classes: int | None
    ) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(before, width, 1) if before != width else nn.Identity()
        self.norm = (
            # Keras' momentum 0.99 is 0.01 in torch's terms.
            nn.BatchNorm2d(before, affine=False, momentum=0.01, eps=1e-3)
            if norm == "batch"
            else nn.GroupNorm(math.gcd(before, before // GROUP or 1), before, affine=False)
        )
        self.classes = None if num_classes is None else nn.Embedding(num_classes + 1, width)
        if self.classes is not None:
            nn.init.zeros_(self.classes.weight)  # it starts without regard to classes
        self.first = nn.Conv2d(before, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        for layer in (self.shortcut, self.first, self.second):
            if isinstance(layer, nn.Conv2d):
                _initialise(layer)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """x (N, before, H, W), labels int64 (N,) -> (N, width, H, W)."""
        inner = self.first(self.norm(x))
        if self.classes is not None:
            inner = inner + self.classes(label - NO_CLASS)[:, :, None, None]
        # In place: a sum of its own would be one more pass over memory.
        return self.second(silu(inner)).add_(self.shortcut(x))  # type: ignore[no-any-return]


class Sinusoidal(nn.Module):
    """(N,) in [0, 1] -> (N, dims): sines, then cosines, of log-spaced frequencies times 2π."""

    def __init__(self, dims: int, max_frequency: float) -> None:
        super().__init__()
        exponents = torch.linspace(0, math.log(max_frequency), dims // 2, dtype=torch.float64)
        speeds = (2 * math.pi * exponents.exp()).float()
        self.register_buffer("speeds", speeds, persistent=False)
        self.speeds: Tensor

    def forward(self, level: Tensor) -> Tensor:
        """Vaswani et al. 2017, section 3.5, with frequencies for a level in [0, 1]."""
        angles = level[:, None] * self.speeds
        return torch.cat([angles.sin(), angles.cos()], dim=1)


def _chain(
    block: Callable[[int, int], nn.Module], before: int, width: int, depth: int
) -> nn.ModuleList:
    """``depth`` blocks, the first from ``before`` channels."""
    return nn.ModuleList(block(before if i == 0 else width, width) for i in range(depth))


def _initialise(layer: nn.Conv2d) -> None:
    """Start as Keras does: Glorot-uniform weights and zero biases."""
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
