"""Packages of strangers, right and wrong, and the page that tells how to write them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.helpers.paths import ROOT

DOCS = (ROOT / "docs/plugins.md").read_text()

FILES = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)

COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", DOCS, re.DOTALL)
            for line in block.splitlines()]  # fmt: skip

RECIPE = """\
name: tiny
dataset: {name: procedural_flowers, num_images: 60, size: 16}
schedule: cosine
objective: denoising
backbone: {name: residual_unet, widths: [8, 8], block_depth: 1}
train:
  max_steps: 2
  batch_size: 8
  validate: {sampler: SAMPLER, num_steps: 2, num_images: 4, grid: [2, 1], grid_num_steps: 2}
sample: {sampler: SAMPLER, num_steps: 2, num_images: 4, grid: [2, 2]}
"""


def hook(name: str, result: str) -> str:
    return f"from pipeline import hookimpl\n@hookimpl\ndef {name}():\n    return {result}\n"


BROKEN = {
    "absent_library": ("import no_such_library", "No module named 'no_such_library'"),
    "misspelt": (hook("register_sampler", "{}"), "no hook register_sampler; did you mean regist"),
    "a_list": (hook("register_samplers", "['x']"), "register_samplers returned ['x'] instead of"),
}

NAMES = {
    "other_ddim": hook("register_samplers", "{'ddim': 'other_ddim:X'}"),
    "same_point": hook("register_samplers", "{'same': 'same_point:X'}"),
    "same_point_too": hook("register_samplers", "{'too': 'same_point_too:X'}"),
}


def pipeline(folder: Path, *arguments: str, site: Path | None = None):
    """``pipeline …`` as its own process in a folder, with packages installed in ``site``."""
    command = [sys.executable, "-m", "pipeline", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(site), capture_output=True, text=True
    )


def environment(site: Path | None = None) -> dict[str, str]:
    """This process's, with packages installed in ``site`` and without a store."""
    paths = [str(site)] * (site is not None) + os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = {k: v for k, v in os.environ.items() if k != "PIPELINE_STORE"}
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
