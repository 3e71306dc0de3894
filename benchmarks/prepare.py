"""Preparing the real flowers, beside torchvision's dataset through a DataLoader.

    python benchmarks/prepare.py path/to/data --pairs 5    # the folder that holds flowers-102/

Both decode, crop and resize all photos to 64×64 on all cores, in turn. Ours also digests the files,
looks at them again at the end, and writes an HDF5 file with checksums; the DataLoader's tensors
are dropped, and its workers' start counts. CPU seconds over wall seconds is how many cores were
busy. At last, how long it takes to reuse what is there.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from alternating import positive, refusing
from torch.utils.data import ConcatDataset, DataLoader
from torchvision.datasets import Flowers102
from torchvision.transforms import v2

from pipeline.artifacts.prepare import prepare
from pipeline.artifacts.session import Session
from pipeline.machine import cores
from pipeline.plugin.registry import Registry
from pipeline.recipe.load import load
from pipeline.store.store import Store


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--pairs", type=positive, default=5)
    asked = options.parse_args()
    registry = Registry.load()
    changes = [f"dataset.root={asked.data}", "features=efficientnet_lite0"]
    recipe = load("flowers_ddim", changes, registry=registry).recipe

    def ours(store: Path) -> bool:
        with contextlib.redirect_stderr(io.StringIO()):
            return prepare(recipe, Session(registry, Store(store))).reused

    with refusing(options), tempfile.TemporaryDirectory() as folder:
        ours(Path(folder, "first"))  # the files are in the system's cache from here on
        found = []
        for pair in range(asked.pairs):
            store = Path(folder, str(pair))
            found.append((timed(lambda: ours(store)), timed(lambda: theirs(asked.data))))  # noqa: B023
            tell("ours", found[-1][0])
            tell("DataLoader", found[-1][1])
        ratio = statistics.median(a[0] / b[0] for a, b in found)
        print(f"ours / DataLoader: median ratio of {asked.pairs} pairs {ratio:.2f}")
        tell("reused", timed(lambda: ours(store)))


def theirs(data: Path) -> None:
    """The same pixels as tensors of a DataLoader."""
    steps = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), Square(), Bytes()])
    parts = [Flowers102(data, part, transform=steps) for part in ("train", "val", "test")]
    loader = DataLoader(ConcatDataset(parts), batch_size=64, num_workers=cores())
    count = sum(len(images) for images, _ in loader)
    assert count == 8189


class Square(torch.nn.Module):
    """The largest square in the middle, 64×64."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        cropped = v2.functional.center_crop(image, [min(image.shape[-2:])] * 2)
        return v2.functional.resize(cropped, [64, 64], antialias=True)


class Bytes(torch.nn.Module):
    """Rounded to bytes."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (image.clamp(0, 1) * 255).round().byte()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds, those of worker processes too."""
    start, busy = time.perf_counter(), cpu_seconds()
    work()
    return time.perf_counter() - start, cpu_seconds() - busy


def cpu_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def tell(what: str, seconds: tuple[float, float]) -> None:
    wall, busy = seconds
    print(f"{what}: {wall:.2f} s wall, {busy / wall:.2f} cores busy", flush=True)


if __name__ == "__main__":
    main()
