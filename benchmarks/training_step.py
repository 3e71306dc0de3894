"""Training on the CPU: memory formats against each other, and the whole loop against a bare step.

    python benchmarks/training_step.py --size 64 --pairs 5

Alternates what is compared within one run, so that a machine that is busy with other things slows
both; the ratio's median is the figure to quote.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from pipeline import Draws
from pipeline.artifacts.prepare import prepare, read_images
from pipeline.artifacts.session import Session
from pipeline.plugin.registry import Registry
from pipeline.recipe.load import load
from pipeline.store.store import Store
from pipeline.training.batches import Batches
from pipeline.training.loop import Training


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(name: str, a: Callable[[], object], b: Callable[[], object], pairs: int) -> None:
    a(), b()
    found = [(timed(a), timed(b)) for _ in range(pairs)]
    ratio = statistics.median(x / y for x, y in found)
    first, second = (statistics.median(side) for side in zip(*found, strict=True))
    print(f"{name}: {first:.3f} s / {second:.3f} s, median ratio of {pairs} pairs {ratio:.3f}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size", type=int, default=64)
    options.add_argument("--pairs", type=int, default=5)
    asked = options.parse_args()
    registry = Registry.load()
    recipe = load(
        "flowers_ddim",
        [
            "dataset={name: procedural_flowers, num_images: 200}",
            f"preprocess.resize.size={asked.size}",
            "features=efficientnet_lite0",
        ],
        registry=registry,
    ).recipe
    with tempfile.TemporaryDirectory() as folder:
        images = read_images(prepare(recipe, Session(registry, Store(Path(folder) / "store"))))
        batches = Batches(images.indices("train"), 0, 64, 5)
        place = Path(folder)
        loop = Training(recipe, images, batches, [], registry, "cpu", place, place / "views")
        compare("contiguous / channels-last", *formats(loop), asked.pairs)
        compare("whole loop / bare step", loop.one_step, bare(loop), asked.pairs)


def formats(loop: Training) -> tuple[Callable[[], object], Callable[[], object]]:
    """Forward, backward and optimizer step of the same network in both memory formats."""
    shape = (64, *loop.images.shape)

    def step_in(memory: torch.memory_format) -> Callable[[], object]:
        network = loop.recipe.backbone(loop.images.shape, None).to(memory_format=memory)
        optimizer = loop.settings.optimizer(network.parameters())
        x0 = torch.randn(shape).to(memory_format=memory)
        return lambda: descend(loop, network, optimizer, x0)

    return step_in(torch.contiguous_format), step_in(torch.channels_last)


def bare(loop: Training) -> Callable[[], object]:
    """The loop's own network and optimizer on one batch, without data, EMA and sums."""
    x0 = torch.randn((64, *loop.images.shape)).to(memory_format=torch.channels_last)
    eps = torch.randn_like(x0)
    t = torch.rand(64)

    def step() -> None:
        rates = loop.recipe.schedule(t)
        over = rates.over(x0)
        x = over.signal * x0 + over.noise * eps
        loss = (loop.network(x, rates, None) - eps).abs().mean()
        loop.optimizer.zero_grad()
        loss.backward()
        loop.optimizer.step()

    return step


def descend(
    loop: Training, network: torch.nn.Module, optimizer: torch.optim.Optimizer, x0: torch.Tensor
) -> None:
    draws = Draws(0, "train", range(len(x0)))
    loss = loop.recipe.objective.loss(network, x0, None, loop.recipe.schedule, draws)["loss"]
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


if __name__ == "__main__":
    main()
