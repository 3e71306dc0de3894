"""The diffusion transformer: Peebles & Xie 2023, https://arxiv.org/abs/2212.09748."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pixel_shuffle, silu

from pipeline import InputError, OptionSets, Rates, stage

from .attention import attend
from .conditioning import Condition

Count = Annotated[int, Field(ge=1)]


@stage
class DiT:
    """A transformer over patches; noise level and class by adaLN-zero (section 3.2).

    4,165,488 parameters with the defaults, 3 channels and no classes, at any size.
    """

    patch_size: Count = 4
    """Height and width in pixels of what becomes one token."""
    width: Annotated[int, Field(ge=4, multiple_of=4)] = 192
    """Channels of a token: a quarter each for the sines and cosines of row and column."""
    depth: Count = 6
    """Transformer blocks."""
    heads: Count = 6
    """Heads of the attention, a divisor of ``width``."""
    mlp_ratio: Annotated[float, Field(gt=0)] = 4.0
    """Width of the hidden layer after each attention, in widths of a token."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of what each attention and hidden layer adds that is dropped in training."""

    examples: ClassVar[OptionSets] = (
        {
            "patch_size": 2,
            "width": 24,
            "depth": 2,
            "heads": 3,
            "mlp_ratio": 2.5,
            "dropout": 0.1,
        },
    )

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} should be a multiple of heads {self.heads}")
        if self.width * self.mlp_ratio < 1:
            raise ValueError(f"mlp_ratio {self.mlp_ratio} leaves no hidden channel; raise it")
        return self

    def __call__(self, shape: tuple[int, int, int], num_classes: int | None) -> nn.Module:
        """The network for images of ``shape`` (C, H, W), with fresh weights."""
        _, height, width = shape
        patch = self.patch_size
        if height % patch or width % patch:
            raise InputError(
                f"dit with patch_size {patch}: {height}×{width} pixels cannot be divided by "
                f"{patch}. Resize to multiples of {patch} or give another patch_size."
            )
        return Transformer(self, shape, num_classes)


class Transformer(nn.Module):
    """forward(x (N, C, H, W), rates (N,), label (N,)) -> (N, C, H, W); 0 before training."""

    def __init__(self, options: DiT, shape: tuple[int, int, int], num_classes: int | None) -> None:
        super().__init__()
        (channels, *pixels), patch, width = shape, options.patch_size, options.width
        self.patch = patch
        rows, columns = (size // patch for size in pixels)
        self.register_buffer("positions", positions(rows, columns, width), persistent=False)
        self.positions: Tensor
        self.condition = Condition(width, num_classes)
        self.enter = nn.Conv2d(channels, width, patch, stride=patch)
        self.blocks = nn.ModuleList(Block(options) for _ in range(options.depth))
        self.modulation = nn.Linear(width, 2 * width)
        self.leave = nn.Linear(width, channels * patch**2)
        self._initialise()

    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """A label is a class or NO_CLASS; None is NO_CLASS for all."""
        seen = silu(self.condition(rates, label))
        x = self.enter(x)
        grid = x.shape[2:]
        x = x.flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x, seen)
        x = self.leave(modulated(x, *self.modulation(seen)[:, None].chunk(2, dim=2)))
        x = x.transpose(1, 2).reshape(x.shape[0], x.shape[2], *grid)
        return pixel_shuffle(x, self.patch)

    def _initialise(self) -> None:
        """Start as the authors' code does; zeros make each block the identity and the output 0."""
        for layer in self.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                nn.init.xavier_uniform_(layer.weight.data.flatten(1))
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        for part in (self.condition.enter, self.condition.leave, self.condition.classes):
            if part is not None:
                nn.init.normal_(part.weight, std=0.02)
        zero = [self.leave, self.modulation]
        zero += [block.modulation for block in self.blocks]  # type: ignore[misc]
        for layer in zero:
            nn.init.zeros_(layer.weight)


class Block(nn.Module):
    """Attention, then an MLP, each scaled, shifted and gated by what is seen (figure 3)."""

    def __init__(self, options: DiT) -> None:
        super().__init__()
        width, hidden = options.width, int(options.width * options.mlp_ratio)
        self.heads = options.heads
        self.modulation = nn.Linear(width, 6 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, width)
        )
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """Tokens x (N, T, width), and what is seen (N, width) -> tokens (N, T, width)."""
        shift, scale, gate, *rest = self.modulation(seen)[:, None].chunk(6, dim=2)
        y = self.merge(attend(self.qkv(modulated(x, shift, scale)), self.heads))
        x = x + gate * self.dropout(y)
        shift, scale, gate = rest
        return x + gate * self.dropout(self.mlp(modulated(x, shift, scale)))  # type: ignore[no-any-return]


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm, with a scale (0 stands for 1) and a shift that are given."""
    return layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


def positions(rows: int, columns: int, width: int) -> Tensor:
    """(rows columns, width), row by row: sines and cosines of the row, then of the column.

    Each is that of Vaswani et al. 2017, section 3.5, and has half of the channels.
    """
    exponents = torch.arange(width // 4, dtype=torch.float64) / (width // 4)
    speeds = 10_000**-exponents

    def waves(count: int) -> Tensor:
        angles = torch.arange(count, dtype=torch.float64)[:, None] * speeds
        return torch.cat([angles.sin(), angles.cos()], dim=1).float()

    down = waves(rows)[:, None].expand(-1, columns, -1)
    across = waves(columns)[None].expand(rows, -1, -1)
    return torch.cat([down, across], dim=2).flatten(0, 1)
