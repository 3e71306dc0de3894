"""The book's U-Net, told the noise level in every block: FiLM, Perez et al. 2018
(https://arxiv.org/abs/1709.07871), as Dhariwal & Nichol 2021 (https://arxiv.org/abs/2105.05233,
section 3.1) use it in their denoising U-Net.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pixel_shuffle, pixel_unshuffle, silu

from pipeline import InputError, OptionSets, Rates, Stage, Upsampler, stage
from pipeline_upsamplers.bilinear import Bilinear

from .adm_unet import Attention, zero
from .conditioning import Condition
from .sizes import check_halvings

Count = Annotated[int, Field(ge=1)]


@stage
class FiLMUNet:
    """Residual blocks like those of ``residual_unet``, scaled and shifted by noise level and class.

    The smallest level attends to all of itself. What a block of the way down made is added to the
    input of its partner on the way up, which so has no more channels than its level: a step takes
    three quarters of the time that it would with stacked skips. 1,861,068 parameters with the
    defaults, 3 channels and no classes.
    """

    widths: Annotated[tuple[Count, ...], Field(min_length=1)] = (64, 96, 128)
    """Channels of each level; each but the last is followed by a halving of the image."""
    block_depth: Count = 2
    """Residual blocks a level, on the way down and on the way up."""
    patch: Count = 2
    """Pixels of a square of this side are the channels of one place (Shi et al. 2016,
    https://arxiv.org/abs/1609.05158): 2 leaves a quarter of the places to compute at."""
    head_width: Count = 32
    """Channels of each head of the attention; a narrower level has one head."""
    embedding_dims: Annotated[int, Field(ge=2, multiple_of=2)] = 128
    """Size of the vector of noise level and class."""
    upsampler: Annotated[Upsampler, Stage("upsampler")] = Bilinear()
    """How the image grows back."""

    examples: ClassVar[OptionSets] = (
        {
            "widths": [8, 12],
            "block_depth": 1,
            "patch": 1,
            "head_width": 4,
            "embedding_dims": 8,
            "upsampler": "pixel_shuffle",
        },
    )

    def __call__(self, shape: tuple[int, int, int], num_classes: int | None) -> nn.Module:
        """The network for images of ``shape`` (C, H, W), with fresh weights."""
        check_halvings("film_unet", len(self.widths), *shape[1:], self.patch)
        width = self.widths[-1]
        if width > self.head_width and width % self.head_width:
            raise InputError(
                f"film_unet has attention on {width} channels, the last of widths: they cannot be "
                f"divided by head_width {self.head_width}. Give a divisor of {width}."
            )
        return UNet(self, shape[0], num_classes)


class UNet(nn.Module):
    """forward(x (N, C, H, W), rates (N,), label (N,)) -> (N, C, H, W); 0 before training."""

    def __init__(self, options: FiLMUNet, channels: int, num_classes: int | None) -> None:
        super().__init__()
        *levels, middle = options.widths
        self.patch = options.patch
        channels *= self.patch**2
        self.condition = Condition(options.embedding_dims, num_classes)
        self.enter = _glorot(nn.Conv2d(channels, options.widths[0], 3, padding=1))
        last = options.widths[0]
        self.down = nn.ModuleList()
        for width in levels:
            self.down.append(_chain(last, width, options))
            last = width
        self.middle = _chain(last, middle, options)
        self.attention = Attention(middle, options.head_width)
        last = middle
        self.narrow = nn.ModuleList()
        self.grow = nn.ModuleList()
        self.up = nn.ModuleList()
        for width in reversed(levels):
            self.narrow.append(_glorot(nn.Conv2d(last, width, 1)))
            self.grow.append(options.upsampler(width))
            self.up.append(_chain(width, width, options))
            last = width
        self.leave = _glorot(nn.Conv2d(last, channels, 1))
        # The network starts by predicting zero, so that its first loss is the data's own.
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """A label is a class or NO_CLASS; None is NO_CLASS for all."""
        seen = silu(self.condition(rates, label))
        x = self.enter(pixel_unshuffle(x, self.patch))
        skips = []
        for blocks in self.down:
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x, seen)
                skips.append(x)
            x = avg_pool2d(x, 2)
        first, *others = self.middle
        x = self.attention(first(x, seen))
        for block in others:
            x = block(x, seen)
        for narrow, grow, blocks in zip(self.narrow, self.grow, self.up, strict=True):
            x = grow(narrow(x))  # narrower before it grows: a quarter of the places
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x + skips.pop(), seen)
        return pixel_shuffle(self.leave(x), self.patch)


class Block(nn.Module):
    """Normalise, convolve, scale and shift, SiLU, convolve, and add the input, which it starts as.

    The norm is that of the batch, as in the book, with the running average when sampling.
    """

    def __init__(self, before: int, width: int, dims: int) -> None:
        super().__init__()
        self.shortcut = _glorot(nn.Conv2d(before, width, 1)) if before != width else nn.Identity()
        # Keras' momentum 0.99 is 0.01 in torch's terms.
        self.norm = nn.BatchNorm2d(before, affine=False, momentum=0.01, eps=1e-3)
        self.first = _glorot(nn.Conv2d(before, width, 3, padding=1))
        self.modulation = zero(nn.Linear(dims, 2 * width))
        self.second = zero(nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """x (N, before, H, W), and what is seen (N, dims) -> (N, width, H, W)."""
        scale, shift = self.modulation(seen)[:, :, None, None].chunk(2, dim=1)
        y = torch.addcmul(shift, self.first(self.norm(x)), 1 + scale)  # 0 stands for the scale 1
        # In place: a sum of its own would be one more pass over memory.
        return self.second(silu(y)).add_(self.shortcut(x))  # type: ignore[no-any-return]


def _chain(before: int, width: int, options: FiLMUNet) -> nn.ModuleList:
    """The blocks of one level on one way; the first takes ``before`` channels."""
    channels = [before] + [width] * (options.block_depth - 1)
    return nn.ModuleList(Block(c, width, options.embedding_dims) for c in channels)


def _glorot(layer: nn.Conv2d) -> nn.Conv2d:
    """Start as Keras does: Glorot-uniform weights and zero biases."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(cast("Tensor", layer.bias))
    return layer
