"""Runs in several processes on the CPU, which take seconds to start: tests share them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from tests.helpers import rank_stages, tiny

RECIPE = """\
name: ranks
dataset: {name: procedural_flowers, num_images: 84, size: 16}
augment: [horizontal_flip, fault]
features: projection
schedule: cosine
objective: {name: noting, times: stratified}
backbone: {name: residual_unet, widths: [8, 8], block_depth: 1, norm: group}
split: {validation: 0.25}
train:
  max_steps: 50
  batch_size: 14
  accumulate: 2
  optimizer: noting_adamw
  lr_schedule: {name: cosine, warmup_steps: 10, total_steps: 50}
  clip_gradients: 1
  condition: class
  drop_label: 0.2
  checkpoint_every: 100 steps
  validate:
    {every: 25 steps, num_steps: 2, num_images: 21, grid: [2, 1], grid_num_steps: 2, metrics: [kid]}
sample: {num_steps: 2, num_images: 21, grid: [3, 2], batch_size: 4}
evaluate: {num_steps: 2, batch_size: 4, metrics: [kid]}
"""
"""21 images are held back, scored and drawn; each of 4 ranks has 3 or 4 images of a batch."""

OWN = [sys.executable, "-m", "pipeline"]
FILES = ("--plugin", tiny.STAGES, "--plugin", rank_stages.FILE)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def run(self) -> dict[str, Any]:
        """What it printed, with its store's absolute path."""
        assert not self.code, self.err
        found: dict[str, Any] = json.loads(self.out)
        return {**found, "store": str(self.folder / found["store"])}

    @property
    def seen(self) -> tuple[list[float], list[list[float]]]:
        """The learning rates, and what was noted of each image, by step and place in its batch."""
        lines = (self.folder / rank_stages.SEEN).read_text().splitlines()
        noted = [json.loads(line) for line in lines]
        rates = [line for line in noted if isinstance(line, float)]
        rows = (row for line in noted if isinstance(line, list) for row in line)
        return rates, sorted(row for row in rows if row[0] < 50)  # a probe's step is far beyond


Start = Callable[..., Ended]


def start(folder: Path, *arguments: str, ranks: int, torchrun: bool = False) -> Ended:
    """``pipeline run ranks.yaml`` with these options in ``folder``, in so many processes."""
    command = [*OWN, "run", "ranks.yaml", "--processes", str(ranks)]
    if torchrun:
        launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        command = [sys.executable, "-m", *launcher, "-m", "pipeline", "run", "ranks.yaml"]
    (folder / "ranks.yaml").write_text(RECIPE)
    ended = subprocess.run(
        [*command, "--device", "cpu", *map(str, FILES), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr, folder)


SHORT = (
    *("--set", "train.max_steps=8", "--set", "train.validate.every=4 steps"),
    *("--set", "train.accumulate=1", "--set", "evaluate=null"),
    *("--set", "train.validate.metrics=[]"),
)


def fault(
    folder: Path,
    what: str,
    *,
    step: int = 6,
    rank: int = 1,
    ranks: int = 2,
    torchrun: bool = False,
    settings: tuple[str, ...] = SHORT,
) -> Ended:
    """A run in which something befalls a rank after so many steps; nobody is left in 60 s."""
    spec = f"augment=[horizontal_flip, {{name: fault, step: {step}, rank: {rank}, what: {what}}}]"
    started = time.time()
    ended = start(folder, *settings, "--set", spec, ranks=ranks, torchrun=torchrun)
    assert ended.code
    for process in psutil.process_iter(["cwd", "create_time"]):
        ours = process.info["cwd"] == str(folder) and process.info["create_time"] > started
        assert not ours, process
    return ended


def check_seen(one: Ended, other: Ended) -> None:
    """Each of 50 steps had the same learning rate, indices, noise, times and labels, once."""
    (rates, images), (others_rates, others_images) = one.seen, other.seen
    assert len(set(rates)) > 40
    assert rates == others_rates
    assert len(images) == 50 * 28
    assert [row[:2] for row in images] == [[step, i] for step in range(50) for i in range(28)]
    assert torch.tensor(images).allclose(torch.tensor(others_images), atol=1e-3)


def apart(one: Ended, other: Ended, which: str) -> float:
    """How far the last weights (raw or ema) of two runs are apart, relative to their norm."""
    a, b = tiny.model(one.run), tiny.model(other.run)
    assert a.keys() == b.keys()
    names = [name for name in a if name.startswith(which)]
    apart = torch.stack([(a[n].double() - b[n].double()).norm() for n in names]).norm()
    size = torch.stack([a[n].double().norm() for n in names]).norm()
    return float(apart / size)


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The recipe in one process; only to be read."""
    return start(tmp_path_factory.mktemp("alone"), "--json", ranks=1)


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """In two; only to be read."""
    return start(tmp_path_factory.mktemp("two"), "--json", ranks=2)


@pytest.fixture(scope="session")
def four(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """In four, under torchrun; only to be read."""
    return start(tmp_path_factory.mktemp("four"), "--json", ranks=4, torchrun=True)
