"""The U-Net of "ablated diffusion models": Dhariwal & Nichol 2021, https://arxiv.org/abs/2105.05233."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, silu

from pipeline import InputError, OptionSets, Rates, Stage, Upsampler, stage
from pipeline_upsamplers.nearest import Nearest

from .attention import attend
from .conditioning import Condition
from .sizes import check_halvings

Count = Annotated[int, Field(ge=1)]


@stage
class ADMUNet:
    """Convolutions with group norm, self-attention where the image is small, classes if asked.

    Noise level and class scale and shift every residual block (section 3.1, "AdaGN"). As in the
    paper, but that the image is halved by averaging and doubled by ``upsampler`` instead of within
    residual blocks. 5,388,035 parameters with the defaults, 3 channels and no classes, at any size.
    """

    widths: Annotated[tuple[Count, ...], Field(min_length=1)] = (32, 64, 96, 128)
    """Channels of each level; each but the last is followed by a halving of the image."""
    block_depth: Count = 2
    """Residual blocks a level on the way down; one more on the way up."""
    attention: tuple[Count, ...] | None = None
    """Heights in pixels at which each block is followed by self-attention, such as [16, 8]; the
    middle's first block too. null: the two smallest that the network has."""
    head_width: Count = 32
    """Channels of each head of the attention; a level with fewer has one head."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of activations that each residual block drops in training."""
    embedding_dims: Annotated[int, Field(ge=2, multiple_of=2)] = 128
    """Size of the vector of noise level and class."""
    upsampler: Annotated[Upsampler, Stage("upsampler")] = Nearest()
    """How the image grows back."""

    examples: ClassVar[OptionSets] = (
        {
            "widths": [16, 24, 32],
            "block_depth": 1,
            "attention": [8],
            "head_width": 8,
            "dropout": 0.1,
            "embedding_dims": 32,
            "upsampler": "pixel_shuffle",
        },
    )

    def __call__(self, shape: tuple[int, int, int], num_classes: int | None) -> nn.Module:
        """The network for images of ``shape`` (C, H, W), with fresh weights."""
        channels, height, width = shape
        check_halvings("adm_unet", len(self.widths), height, width)
        return UNet(self, channels, self._attends(height), num_classes)

    def _attends(self, height: int) -> list[bool]:
        """Whether each level has attention, for images of this height."""
        heights = [height // 2**level for level in range(len(self.widths))]
        asked = heights[-2:] if self.attention is None else self.attention
        for pixels in asked:
            if pixels not in heights:
                there = ", ".join(map(str, heights))
                raise InputError(
                    f"adm_unet with attention at {pixels}: for images {height} pixels high and "
                    f"{len(self.widths)} widths the network only has the heights {there}. "
                    f"Choose from these."
                )
        for pixels, width in zip(heights, self.widths, strict=True):
            if pixels in asked and width > self.head_width and width % self.head_width:
                raise InputError(
                    f"adm_unet has attention at {pixels} pixels, on {width} channels: they cannot "
                    f"be divided by head_width {self.head_width}. Give a divisor of {width}."
                )
        return [pixels in asked for pixels in heights]


class UNet(nn.Module):
    """forward(x (N, C, H, W), rates (N,), label (N,)) -> (N, C, H, W); 0 before training."""

    def __init__(
        self, options: ADMUNet, channels: int, attends: Sequence[bool], num_classes: int | None
    ) -> None:
        super().__init__()
        widths, depth = options.widths, options.block_depth
        self.condition = Condition(options.embedding_dims, num_classes)
        self.enter = nn.Conv2d(channels, widths[0], 3, padding=1)
        last, skips = widths[0], [widths[0]]
        self.down = nn.ModuleList()
        for level, (width, here) in enumerate(zip(widths, attends, strict=True)):
            skips += [last] if level else []  # the halved image
            self.down.append(_chain(options, [last] + [width] * (depth - 1), width, here))
            skips += [width] * depth
            last = width
        self.middle = nn.ModuleList([Block(options, last, last, at) for at in (attends[-1], False)])
        self.up = nn.ModuleList()
        self.grow = nn.ModuleList()
        for width, here in zip(reversed(widths), reversed(attends), strict=True):
            if len(self.up):
                self.grow.append(options.upsampler(last))
            before = [w + skips.pop() for w in [last] + [width] * depth]
            self.up.append(_chain(options, before, width, here))
            last = width
        self.norm = group_norm(last)
        self.leave = zero(nn.Conv2d(last, channels, 3, padding=1))

    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """A label is a class or NO_CLASS; None is NO_CLASS for all."""
        seen = silu(self.condition(rates, label))
        x = self.enter(x)
        skips = [x]
        for level, blocks in enumerate(self.down):
            if level:
                x = avg_pool2d(x, 2)
                skips.append(x)
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x, seen)
                skips.append(x)
        for block in self.middle:
            x = block(x, seen)
        for level, blocks in enumerate(self.up):
            if level:
                x = self.grow[level - 1](x)
            for block in blocks:  # type: ignore[attr-defined]
                x = block(torch.cat([x, skips.pop()], dim=1), seen)
        return self.leave(silu(self.norm(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Convolve twice, scaled and shifted in between, add the input, then attend if asked."""

    def __init__(self, options: ADMUNet, before: int, width: int, attends: bool) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(before, width, 1) if before != width else nn.Identity()
        self.enter = group_norm(before)
        self.first = nn.Conv2d(before, width, 3, padding=1)
        self.modulation = nn.Linear(options.embedding_dims, 2 * width)
        self.norm = group_norm(width)
        self.dropout = nn.Dropout(options.dropout)
        self.second = zero(nn.Conv2d(width, width, 3, padding=1))
        self.attention = Attention(width, options.head_width) if attends else nn.Identity()

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """x (N, before, H, W), and what is seen (N, embedding_dims) -> (N, width, H, W)."""
        y = self.first(silu(self.enter(x)))
        scale, shift = self.modulation(seen)[:, :, None, None].chunk(2, dim=1)
        y = self.norm(y) * (1 + scale) + shift  # eq. 3; 0 stands for the scale 1
        y = self.second(self.dropout(silu(y)))
        return self.attention(self.shortcut(x) + y)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Every pixel attends to all; the result is added to the input."""

    def __init__(self, width: int, head_width: int) -> None:
        super().__init__()
        self.heads = max(1, width // head_width)
        self.norm = group_norm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.leave = zero(nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) -> the same shape."""
        pixels = self.norm(x).flatten(2).transpose(1, 2)
        y = self.leave(attend(self.qkv(pixels), self.heads))
        return x + y.transpose(1, 2).unflatten(2, x.shape[2:])  # type: ignore[no-any-return]


def group_norm(channels: int) -> nn.GroupNorm:
    """Up to 32 groups of 4 channels or more: as many as divide the channels evenly."""
    most = max(1, min(32, channels // 4))
    groups = next(n for n in range(most, 0, -1) if channels % n == 0)
    return nn.GroupNorm(groups, channels)


def _chain(options: ADMUNet, before: Sequence[int], width: int, attends: bool) -> nn.ModuleList:
    return nn.ModuleList(Block(options, channels, width, attends) for channels in before)


def zero(layer: Any) -> Any:
    """Set a layer to zero: so a block starts as its shortcut, and the network by predicting 0."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
