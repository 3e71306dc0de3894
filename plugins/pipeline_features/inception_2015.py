"""The network of TensorFlow's Inception archive of 2015-12-05, with the names of its PyTorch port.

It is Inception v3 (Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, fig. 5 to 7) with 1008
classes, averages that leave out the padding, and a maximum where the last block should average.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Step(NamedTuple):
    """A convolution of a chain: its name, channels, kernel (height and width) and stride."""

    name: str
    out: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1


Chain = Sequence[Step | tuple[Step, Step]]
"""Convolutions one after another; a pair forks, and its two results are joined."""

_average = partial(F.avg_pool2d, kernel_size=3, stride=1, padding=1, count_include_pad=False)
_maximum = partial(F.max_pool2d, kernel_size=3, stride=1, padding=1)
_reduce = partial(F.max_pool2d, kernel_size=3, stride=2)


class Convolution(nn.Module):
    """A convolution without bias, batch norm, ReLU. Stride 1 keeps the size, 2 has no padding."""

    def __init__(self, channels: int, step: Step, padded: bool = True) -> None:
        super().__init__()
        padding = [k // 2 if padded and step.stride == 1 else 0 for k in step.kernel]
        self.conv = nn.Conv2d(
            channels, step.out, step.kernel, step.stride, (padding[0], padding[1]), bias=False
        )
        self.bn = nn.BatchNorm2d(step.out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, out, H', W')."""
        normed: Tensor = self.bn(self.conv(x))
        return normed.relu_()


class Block(nn.Module):
    """Chains of convolutions side by side, joined; the last one begins with a pool."""

    def __init__(self, channels: int, chains: Sequence[Chain], pool: partial[Tensor]) -> None:
        super().__init__()
        self.chains, self.pool = chains, pool
        for chain in chains:
            width = channels
            for steps in map(_together, chain):
                for step in steps:
                    self.add_module(step.name, Convolution(width, step))
                width = sum(step.out for step in steps)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, all chains' channels, H', W')."""
        *convolved, pooled = self.chains
        ends = [self._run(chain, x) for chain in convolved]
        return torch.cat([*ends, self._run(pooled, self.pool(x))], 1)

    def _run(self, chain: Chain, x: Tensor) -> Tensor:
        for steps in map(_together, chain):
            branches = [self.get_submodule(step.name)(x) for step in steps]
            x = branches[0] if len(branches) == 1 else torch.cat(branches, 1)
        return x


class Inception2015(nn.Module):
    """Maps of 64, 192, 768 and 2048 channels one after another; ``fc`` classifies the last."""

    def __init__(self) -> None:
        super().__init__()
        three = (3, 3)
        self.Conv2d_1a_3x3 = Convolution(3, Step("", 32, three, 2))
        self.Conv2d_2a_3x3 = Convolution(32, Step("", 32, three), padded=False)
        self.Conv2d_2b_3x3 = Convolution(32, Step("", 64, three))
        self.Conv2d_3b_1x1 = Convolution(64, Step("", 80))
        self.Conv2d_4a_3x3 = Convolution(80, Step("", 192, three), padded=False)
        self.Mixed_5b = _block_a(192, 32)
        self.Mixed_5c = _block_a(256, 64)
        self.Mixed_5d = _block_a(288, 64)
        self.Mixed_6a = _block_b(288)
        self.Mixed_6b = _block_c(768, 128)
        self.Mixed_6c = _block_c(768, 160)
        self.Mixed_6d = _block_c(768, 160)
        self.Mixed_6e = _block_c(768, 192)
        self.Mixed_7a = _block_d(768)
        self.Mixed_7b = _block_e(1280, _average)
        self.Mixed_7c = _block_e(2048, _maximum)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x: Tensor, dims: int = 2048) -> Tensor:
        """(N, 3, 299, 299) in [-1, 1) -> the mean of the maps that have ``dims`` channels."""
        x = _reduce(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        if dims > 64:
            x = _reduce(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        if dims > 192:
            x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))
            x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        if dims > 768:
            x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean((2, 3))


def _together(steps: Step | tuple[Step, Step]) -> tuple[Step, ...]:
    return (steps,) if isinstance(steps, Step) else steps


def _block_a(channels: int, pooled: int) -> Block:
    return Block(
        channels,
        [
            [Step("branch1x1", 64)],
            [Step("branch5x5_1", 48), Step("branch5x5_2", 64, (5, 5))],
            [
                Step("branch3x3dbl_1", 64),
                Step("branch3x3dbl_2", 96, (3, 3)),
                Step("branch3x3dbl_3", 96, (3, 3)),
            ],
            [Step("branch_pool", pooled)],
        ],
        _average,
    )


def _block_b(channels: int) -> Block:
    return Block(
        channels,
        [
            [Step("branch3x3", 384, (3, 3), 2)],
            [
                Step("branch3x3dbl_1", 64),
                Step("branch3x3dbl_2", 96, (3, 3)),
                Step("branch3x3dbl_3", 96, (3, 3), 2),
            ],
            [],
        ],
        _reduce,
    )


def _block_c(channels: int, width: int) -> Block:
    across, down = (1, 7), (7, 1)
    return Block(
        channels,
        [
            [Step("branch1x1", 192)],
            [
                Step("branch7x7_1", width),
                Step("branch7x7_2", width, across),
                Step("branch7x7_3", 192, down),
            ],
            [
                Step("branch7x7dbl_1", width),
                Step("branch7x7dbl_2", width, down),
                Step("branch7x7dbl_3", width, across),
                Step("branch7x7dbl_4", width, down),
                Step("branch7x7dbl_5", 192, across),
            ],
            [Step("branch_pool", 192)],
        ],
        _average,
    )


def _block_d(channels: int) -> Block:
    return Block(
        channels,
        [
            [Step("branch3x3_1", 192), Step("branch3x3_2", 320, (3, 3), 2)],
            [
                Step("branch7x7x3_1", 192),
                Step("branch7x7x3_2", 192, (1, 7)),
                Step("branch7x7x3_3", 192, (7, 1)),
                Step("branch7x7x3_4", 192, (3, 3), 2),
            ],
            [],
        ],
        _reduce,
    )


def _block_e(channels: int, pool: partial[Tensor]) -> Block:
    def fork(name: str) -> tuple[Step, Step]:
        return Step(f"{name}a", 384, (1, 3)), Step(f"{name}b", 384, (3, 1))

    return Block(
        channels,
        [
            [Step("branch1x1", 320)],
            [Step("branch3x3_1", 384), fork("branch3x3_2")],
            [
                Step("branch3x3dbl_1", 448),
                Step("branch3x3dbl_2", 384, (3, 3)),
                fork("branch3x3dbl_3"),
            ],
            [Step("branch_pool", 192)],
        ],
        pool,
    )
