"""benchmarks/samplers.py: every sampler at equal cost, from one command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import tiny
from PIL import Image

from pipeline.registry import Registry

here, one_thread = tiny.here, tiny.one_thread

SCRIPT = Path(__file__).parents[1] / "benchmarks/samplers.py"
RECIPE = (
    tiny.RECIPE.replace("augment: [trip]\n", "")
    .replace("features: projection", "features: efficientnet_lite0")
    .replace("max_steps: 7", "max_steps: 2")
)


def test_one_command_makes_table_plot_and_data(here: Path) -> None:
    (here / "tiny.yaml").write_text(RECIPE)
    tiny.shell("run", "tiny.yaml", plugin=False)
    command = [sys.executable, SCRIPT, "runs/tiny", "--nfe", "2,3", "--num-images", "8"]
    words = ["--sampler", "ddim", "--sampler", "heun", "--out", "out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *words], check=True, env=environment, capture_output=True, text=True
    )
    found = json.loads((here / "out/samplers.json").read_text())
    costs = {(cell["sampler"], cell["budget"]): cell["nfe"] for cell in found["cells"]}
    assert costs == {("ddim", 2): 2, ("ddim", 3): 3, ("heun", 2): 1, ("heun", 3): 3}
    assert found["protocol"]["num_fake"] == 8
    assert found["protocol"]["seed"] == 0
    rows = done.stdout.splitlines()
    assert rows[0] == "| sampler | NFE 2 | NFE 3 |"
    assert rows[3].startswith("| `heun` | ")
    assert " (1) | " in rows[3]
    assert Image.open(here / "out/images/samplers.png").size[0] > 600


def test_a_budget_buys_as_many_steps_as_it_pays_for() -> None:
    steps_for = run_path(str(SCRIPT))["steps_for"]
    for entry in Registry.load().entries("sampler"):
        sampler = Registry.load().build("sampler", entry.name)
        for budget in (1, 5, 20):
            steps = steps_for(sampler, budget)
            assert sampler.nfe(steps) <= budget < sampler.nfe(steps + 1)
