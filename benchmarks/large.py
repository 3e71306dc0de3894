"""The whole way of the data under a limit of memory that its images alone do not fit into.

    python benchmarks/large.py                        # 20,000 and 200,000 drawn flowers of 32×32

For each number of images a process sets itself a limit of address space (RLIMIT_AS): what Python
and its libraries take, and ``--room`` MiB more. Then it does what ``pipeline run`` does, with a
small network: it prepares all images, trains and validates, draws as many samples as there are
images, embeds both and scores them; and it writes pictures as ``pipeline sample`` does. What each
stage took at its peak, beyond what there was before all work, is printed as a table: address space,
which the limit is on, and resident memory. A stage that asks for more ends the process, and this
one with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict, TypeVar

STAGES = Path(__file__).with_name("large_stages.py")

RECIPE = """\
name: large
dataset: {{name: {dataset}, num_images: {images}, size: {size}}}
features: patches
schedule: cosine
objective: denoising
backbone: {backbone}
train:
  max_steps: {steps}
  batch_size: 64
  checkpoint_every: {steps} steps
  validate: {{every: {steps} steps, num_steps: 1, grid: [2, 1], grid_num_steps: 1, metrics: [fid]}}
sample: {{num_steps: 1, num_images: 64, grid: [8, 8]}}
evaluate:
  num_steps: {num_steps}
  num_images: {images}
  split: train
  metrics: {metrics}
"""

ARROWS = {
    "prepare": "prepare",
    "embed": "embed",
    "train_or_advise": "train and validate",
    "draw_samples": "sample",
    "trace": "trace",
    "score": "score",
    "neighbours": "neighbours",
}
"""The functions that a run calls, by what the table calls them."""

R = TypeVar("R")


class Row(TypedDict):
    """A stage's peaks, in bytes beyond what there was before all work."""

    stage: str
    seconds: float
    address_space: int
    resident: int


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--images", type=int, nargs="+", default=[20_000, 200_000])
    options.add_argument("--room", type=int, default=768, help="MiB beyond the libraries")
    options.add_argument("--steps", type=int, default=300)
    options.add_argument("--num-steps", type=int, default=1, help="of sampling")
    options.add_argument("--pictures", type=int, default=2000)
    options.add_argument("--dataset", default="procedural_flowers")
    options.add_argument(
        "--backbone", default="{name: residual_unet, widths: [8, 8], block_depth: 1}"
    )
    options.add_argument("--metrics", default="[fid, {name: kid, estimator: subsets}]")
    options.add_argument("--size", type=int, default=32)
    options.add_argument("--json", action="store_true")
    options.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.inside:
        work(asked.images[0], asked.room, asked.pictures)
        return
    for count in asked.images:
        rows = measured(count, asked)
        print(json.dumps(rows) if asked.json else table(count, rows, asked), flush=True)


def measured(count: int, asked: argparse.Namespace) -> list[Row]:
    """The rows of so many images, from a process of its own; SystemExit where it fails."""
    changes = {
        k: getattr(asked, k)
        for k in ("dataset", "size", "backbone", "metrics", "steps", "num_steps")
    }
    arguments = ["--images", str(count), "--room", str(asked.room), "--inside"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "large.yaml").write_text(RECIPE.format(images=count, **changes))
        done = subprocess.run(
            [sys.executable, __file__, *arguments, "--pictures", str(asked.pictures)],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        )
    if done.returncode:
        raise SystemExit(f"{count} images do not fit into {asked.room} MiB")
    rows: list[Row] = json.loads(done.stdout.splitlines()[-1])
    return rows


def table(count: int, rows: list[Row], asked: argparse.Namespace) -> str:
    """In Markdown."""
    pixels = count * 3 * asked.size**2
    lines = [
        f"{count:,} images, {pixels / 2**20:.0f} MiB of pixels, room for {asked.room} MiB:",
        "",
        "| stage | seconds | address space, MiB | resident, MiB |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        sizes = (f"{row[key] / 2**20:.0f}" for key in ("address_space", "resident"))  # type: ignore[literal-required]
        lines.append(f"| {row['stage']} | {row['seconds']:.0f} | {' | '.join(sizes)} |")
    return "\n".join([*lines, ""])


# In the other process -----------------------------------------------------------------------------


def work(count: int, room: int, pictures: int) -> None:
    """Go the whole way under the limit, and print the rows as JSON at the end."""
    import scipy.linalg  # noqa: F401  what takes address space however few images there are
    import torch
    import torchvision.transforms.v2  # noqa: F401

    from pipeline import commands
    from pipeline.runs import run

    torch.ones(64, 64) @ torch.ones(64, 64)  # starts the threads of products
    watch = Watch()
    limit = watch.now()[0] + room * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name, called in ARROWS.items():
        setattr(run, name, watch.around(called, getattr(run, name)))
    plugins = [STAGES]
    whole = watch.around("all of a run", commands.run)
    whole("large.yaml", plugins=plugins, device="cpu")
    draw = watch.around("write pictures", commands.sample)
    draw("large", num_images=pictures, plugins=plugins, device="cpu")
    print(json.dumps(watch.rows))


class Watch:
    """Looks at the memory of its own process, every few milliseconds."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.peaks: list[tuple[int, int]] = []
        self.lock = threading.Lock()
        threading.Thread(target=self._look, daemon=True).start()
        self.before = self.now()

    def now(self) -> tuple[int, int]:
        """Bytes of address space and of resident memory."""
        pages = Path("/proc/self/statm").read_text().split()
        size = resource.getpagesize()
        return int(pages[0]) * size, int(pages[1]) * size

    def around(self, name: str, function: Callable[..., R]) -> Callable[..., R]:
        """The same function, whose peaks are added to the row of this name."""

        def watched(*args: Any, **kwargs: Any) -> R:
            started = time.monotonic()
            with self.lock:
                self.peaks.append(self.now())
            try:
                return function(*args, **kwargs)
            finally:
                with self.lock:
                    self._add(name, time.monotonic() - started)

        return watched

    def _add(self, name: str, seconds: float) -> None:
        peak = self.peaks.pop()
        if self.peaks:  # of what this was called by
            self.peaks[-1] = _larger(self.peaks[-1], peak)
        taken = [most - before for most, before in zip(peak, self.before, strict=True)]
        old = next((row for row in self.rows if row["stage"] == name), None)
        if old is None:
            row = Row(stage=name, seconds=seconds, address_space=taken[0], resident=taken[1])
            self.rows.append(row)
        else:
            old["seconds"] += seconds
            old["address_space"] = max(old["address_space"], taken[0])
            old["resident"] = max(old["resident"], taken[1])

    def _look(self) -> None:
        while True:
            with self.lock:
                if self.peaks:
                    self.peaks[-1] = _larger(self.peaks[-1], self.now())
            time.sleep(0.005)


def _larger(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    return max(a[0], b[0]), max(a[1], b[1])


if __name__ == "__main__":
    main()
