"""Training on the CPU: memory, its formats, and the whole loop beside a bare step and the book's.

    python benchmarks/training_step.py --size 64 --pairs 5 [--precision bf16] [--tensorflow PYTHON]

Alternates what is compared within one run, so that a machine that is busy with other things slows
all; the ratio's median is the figure to quote. The book's program runs where TensorFlow is
installed: here, or in the environment of the interpreter PYTHON.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from alternating import Seconds, alternate, positive, print_table, ratio, refusing, timed

from pipeline import Draws
from pipeline.artifacts.prepare import prepare, read_images
from pipeline.artifacts.session import Session
from pipeline.machine import reusing_memory
from pipeline.plugin.registry import Registry
from pipeline.recipe.load import load
from pipeline.store.store import Store
from pipeline.training.batches import Batches
from pipeline.training.loop import Training

TENSORFLOW = Path(__file__).with_name("book_tensorflow.py")
BATCH = 64


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size", type=positive, default=64)
    options.add_argument("--pairs", type=positive, default=5)
    options.add_argument(
        "--precision",
        choices=["float32", "bf16"],
        default="float32",
        help="of our loop [%(default)s]",
    )
    options.add_argument("--tensorflow", default=sys.executable, metavar="PYTHON")
    options.add_argument("--xla", action="store_true", help="let TensorFlow compile its step")
    asked = options.parse_args()
    if shutil.which(asked.tensorflow) is None:
        options.error(f"--tensorflow {asked.tensorflow}: no such program; name a python's")
    found = tensorflow(asked.tensorflow, asked.size, asked.xla)
    with refusing(options), tempfile.TemporaryDirectory() as folder, found as book:
        loop = training(Path(folder), asked.size, asked.precision)
        ways = {"memory given back": second(loop), "memory kept": keeping(second(loop))}
        report(list(ways), alternate(ways, asked.pairs))
        with reusing_memory():
            names = ["contiguous", "channels-last"]
            steps = dict(zip(names, map(timed, formats(loop)), strict=True))
            report(names, alternate(steps, asked.pairs))
            names = ["the whole loop", "bare step", "the book's program on TensorFlow"]
            calls = [timed(loop.one_step), timed(bare(loop)), *([book] if book else [])]
            report(names, alternate(dict(zip(names, calls, strict=False)), asked.pairs))


def second(loop: Training) -> Seconds:
    """The second of two steps: the first finds the memory as another way has left it."""

    def seconds() -> float:
        loop.one_step()
        return timed(loop.one_step)()

    return seconds


def keeping(step: Seconds) -> Seconds:
    """The same while freed memory is kept, as the engine does in training."""

    def seconds() -> float:
        with reusing_memory():
            return step()

    return seconds


def training(folder: Path, size: int, precision: str) -> Training:
    """The loop of `flowers_ddim` on drawn flowers."""
    registry = Registry.load()
    recipe = load(
        "flowers_ddim",
        [
            "dataset={name: procedural_flowers, num_images: 200}",
            f"preprocess.resize.size={size}",
            "features=efficientnet_lite0",
            f"train.precision={precision}",
        ],
        registry=registry,
    ).recipe
    images = read_images(prepare(recipe, Session(registry, Store(folder / "store"))))
    batches = Batches(images.indices("train"), 0, BATCH, 5)
    return Training(recipe, images, batches, [], registry, "cpu", folder, folder / "views")


def report(names: Sequence[str], taken: Mapping[str, Sequence[float]]) -> None:
    """A column for each name, with the ratio of the first to it."""
    first = taken[names[0]]
    there = [name for name in names if name in taken]
    seconds = {name: f"{statistics.median(taken[name]):.3f}" for name in there}
    ratios = {name: ratio(first, taken[name]) for name in there[1:]}
    print_table(
        ["", *names],
        [
            ["s a step", *(seconds.get(name, "not installed") for name in names)],
            [f"{names[0]} / it (quartiles)", "", *(ratios.get(name, "") for name in names[1:])],
        ],
    )
    print()


@contextmanager
def tensorflow(python: str, size: int, xla: bool) -> Iterator[Seconds | None]:
    """One step of the book's program in a process of its own; None without TensorFlow."""
    if subprocess.run([python, "-c", "import tensorflow"], capture_output=True).returncode:
        yield None
        return
    given = {"size": size, "batch": BATCH, "threads": torch.get_num_threads()}
    words = [f"--{name}={value}" for name, value in given.items()] + ["--xla"] * xla
    command, pipe = [python, str(TENSORFLOW), *words], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdin
        assert child.stdout
        to, of = child.stdin, child.stdout

        def answer() -> str:
            line = of.readline()
            if not line:
                raise SystemExit("the book's program on TensorFlow ended; what it said is above")
            return line

        def seconds() -> float:
            to.write("\n")
            to.flush()
            return float(answer())

        print(f"the book's network on TensorFlow trains {int(answer()):,} weights\n")

        yield seconds
        to.close()  # it ends


def formats(loop: Training) -> tuple[Callable[[], object], Callable[[], object]]:
    """Forward, backward and optimizer step of the network in float32 in both memory formats."""
    shape = (BATCH, *loop.images.shape)

    def step_in(memory: torch.memory_format) -> Callable[[], object]:
        network = loop.recipe.backbone(loop.images.shape, None).to(memory_format=memory)
        optimizer = loop.settings.optimizer(network.parameters())
        x0 = torch.randn(shape).to(memory_format=memory)
        return lambda: descend(loop, network, optimizer, x0)

    return step_in(torch.contiguous_format), step_in(torch.channels_last)


def bare(loop: Training) -> Callable[[], object]:
    """The loop's own network and optimizer on one batch, without data, EMA and sums."""
    x0 = torch.randn((BATCH, *loop.images.shape)).to(memory_format=torch.channels_last)
    eps = torch.randn_like(x0)
    t = torch.rand(BATCH)

    def step() -> None:
        rates = loop.recipe.schedule(t)
        over = rates.over(x0)
        x = over.signal * x0 + over.noise * eps
        loss = (loop.computation.network(x, rates, None) - eps).abs().mean()
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
