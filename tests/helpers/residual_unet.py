"""A small residual U-Net that is not what it starts as, and images for it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline import Rates

TINY = {"widths": (3, 5, 8), "block_depth": 2, "embedding_dims": 6, "embedding_max_frequency": 50.0}


def rates_of(noise: Tensor) -> Rates[Tensor]:
    return Rates((1 - noise**2).sqrt(), noise)


def disturbed(network: nn.Module) -> nn.Module:
    """No parameter or running statistic is what it starts as."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        for name, buffer in network.named_buffers():
            if "running" in name:
                buffer.copy_(0.5 + torch.rand_like(buffer))
    return network


def inputs(n: int = 4, height: int = 8, width: int = 12) -> tuple[Tensor, Rates[Tensor]]:
    draw = torch.Generator().manual_seed(2)
    x = torch.randn(n, 3, height, width, generator=draw)
    return x, rates_of(torch.linspace(0.1, 0.95, n))
