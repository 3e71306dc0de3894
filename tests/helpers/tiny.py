"""A run that takes a second: its recipe, how to start it, and what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from pipeline import __main__, commands
from pipeline.store.store import Store

STAGES = Path(__file__).with_name("tiny_stages.py")

RECIPE = """\
name: tiny
dataset: {name: procedural_flowers, num_images: 60, size: 16}
augment: [trip]
features: projection
schedule: cosine
objective: denoising
backbone: {name: residual_unet, widths: [8, 8], block_depth: 1}
train:
  max_steps: 7
  batch_size: 16
  checkpoint_every: 2 steps
  validate:
    {every: 3 steps, num_steps: 2, num_images: 8, grid: [2, 1], grid_num_steps: 2, metrics: [kid]}
sample: {num_steps: 3, num_images: 4, grid: [2, 2]}
evaluate: {num_steps: 2, num_images: 8, metrics: [kid]}
"""

CLASSES = RECIPE.replace("train:\n", "train:\n  condition: class\n")
"""The same, for a network that knows classes."""


@contextmanager
def working_in(folder: Path, recipe: str) -> Iterator[None]:
    """Work in this folder, which has the recipe, with a store of its own."""
    (folder / "tiny.yaml").write_text(recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("PIPELINE_STORE", raising=False)
        yield


def run(*overrides: str, recipe: str | Path = "tiny.yaml", **options: Any) -> dict[str, Any]:
    """``pipeline run`` here, with the stages of ``tiny_stages.py``."""
    return commands.run(recipe, overrides, plugins=[STAGES], device="cpu", **options)


def draw(name: str = "tiny", **options: Any) -> tuple[dict[str, Any], Tensor]:
    """``pipeline sample`` here: what it says, and the images, uint8 (N, C, H, W)."""

    found = commands.sample(name, plugins=[STAGES], device="cpu", **options)
    pictures = sorted(Path(found["folder"]).glob("images/*.png"))
    arrays = [np.array(Image.open(picture)) for picture in pictures]
    return found, torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def shell(*arguments: str, code: int = 0, plugin: bool = True) -> subprocess.CompletedProcess[str]:
    """``pipeline …`` in a process of its own, which must end with this exit code."""
    more = ["--plugin", str(STAGES)] if plugin else []
    # With it set, libraries' own output would not be buffered either, unlike a user's.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments, *more],
        capture_output=True,
        text=True,
        timeout=120,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def main(*arguments: str, plugin: bool = True) -> object:
    """``pipeline …`` in this process; its exit code."""
    words = ["pipeline", *arguments, *(["--plugin", str(STAGES)] if plugin else [])]
    before = signal.getsignal(signal.SIGTERM)
    # Where the tests are a shell's background job, Ctrl-C is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as end:
            __main__.main()
    signal.signal(signal.SIGTERM, before)
    return end.value.code


def reused(found: Mapping[str, Any]) -> set[str]:
    """The names of what a run did not make."""
    return {name for name, one in found["artifacts"].items() if one["reused"]}


def built(found: Mapping[str, Any]) -> dict[str, str]:
    """The names of what a run made, and why."""
    return {name: one["why"] for name, one in found["artifacts"].items() if not one["reused"]}


def model(found: Mapping[str, Any], choice: str = "last") -> dict[str, Tensor]:
    """All tensors of a run's model: ``ema.…``, ``raw.…``, ``codec.…``."""
    key = found["artifacts"]["model"]["key"]
    return load_file(Store(Path(found["store"])).open("model", key).path / f"{choice}.safetensors")


def trained(found: Mapping[str, Any]) -> dict[str, Tensor]:
    """All tensors of the newest checkpoint of a store with one training."""
    (folder,) = (Path(found["store"]) / "workspaces/training").iterdir()
    return load_file(max(folder.rglob("step-*.safetensors")))


def history(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The validation records of a run, without what depends on the machine's speed."""
    lines = (Path(found["folder"]) / "history.jsonl").read_text().splitlines()
    return [
        {
            k: v
            for k, v in json.loads(line).items()
            if k not in ("seconds", "data_seconds", "images_per_second")
        }
        for line in lines
    ]


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether two sets of tensors are equal bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
