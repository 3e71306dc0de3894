"""Preparing the real flowers: wall and CPU seconds, and how long it takes to reuse them.

    python benchmarks/prepare.py path/to/data      # the folder that holds flowers-102/

CPU seconds over wall seconds is how many cores were busy.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from pipeline.artifacts.prepare import prepare
from pipeline.artifacts.session import Session
from pipeline.plugin.registry import Registry
from pipeline.recipe.load import load
from pipeline.store.store import Store


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path)
    root = options.parse_args().data
    registry = Registry.load()
    recipe = load(
        "flowers_ddim",
        [f"dataset.root={root}", "features=efficientnet_lite0"],
        registry=registry,
    ).recipe
    with tempfile.TemporaryDirectory() as folder:
        for what in ("built", "reused"):
            start, busy = time.perf_counter(), cpu_seconds()
            images = prepare(recipe, Session(registry, Store(Path(folder) / "store")))
            wall = time.perf_counter() - start
            assert images.reused == (what == "reused")
            print(f"{what}: {wall:.2f} s wall, {(cpu_seconds() - busy) / wall:.2f} cores busy")


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
