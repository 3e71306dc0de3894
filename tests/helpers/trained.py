"""A small network that was really trained, in seconds: it removes noise from drawn flowers."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from pipeline import Rates
from pipeline.plugin.draws import Draws
from pipeline_datasets.procedural_flowers import ProceduralFlowers
from pipeline_objectives.denoising import Denoising
from pipeline_schedules.cosine import Cosine

STEPS = 300


class Network(nn.Module):
    """Predicts eps, from x and how much of it is noise: noise * x and what it learns beside."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, apart in ((5, 24, 1), (24, 24, 2), (24, 24, 4), (24, 3, 1)):
            layers += [nn.Conv2d(before, after, 3, padding=apart, dilation=apart), nn.SiLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        signal, noise = (r.reshape(-1, 1, 1, 1).expand(len(x), 1, *x.shape[2:]) for r in rates)
        return noise * x + signal * self.layers(torch.cat([x, signal, noise], 1))


def flowers(numbers: range) -> Tensor:
    """Drawn flowers of 16×16, in the units of the ``pixels`` codec, roughly."""
    source = ProceduralFlowers(num_images=numbers.stop, size=16)()
    pictures = np.stack([np.asarray(source.image(i)) for i in numbers])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255 * 4 - 2


def loss_of(network: nn.Module, x0: Tensor, step: int) -> Tensor:
    schedule = Cosine(min_signal_rate=0.01, max_signal_rate=0.999)
    given = Draws(0, "train", range(len(x0)), step)
    return Denoising(loss="mse").loss(network, x0, None, schedule, given)["loss"]


@cache
def trained() -> Network:
    images = flowers(range(256))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Network()
    optimizer = torch.optim.Adam(made.parameters(), lr=5e-3)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 5e-3 * (1 - step / STEPS)
        optimizer.zero_grad()
        loss_of(made, images[step % 8 :: 8], step).backward()
        optimizer.step()
    return made.double().requires_grad_(False)
