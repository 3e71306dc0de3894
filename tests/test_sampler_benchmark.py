"""benchmarks/samplers.py: every sampler at equal cost, from one command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*command, "--samplers", "ddim,heun", "--out", "out"], check=True, env=environment
    )
    cells = json.loads((here / "out.json").read_text())
    costs = {(cell["sampler"], cell["budget"]): cell["nfe"] for cell in cells}
    assert costs == {("ddim", 2): 2, ("ddim", 3): 3, ("heun", 2): 1, ("heun", 3): 3}
    assert {cell["protocol"]["num_fake"] for cell in cells} == {8}
    assert {cell["protocol"]["seed"] for cell in cells} == {0}
    rows = (here / "out.md").read_text().splitlines()
    assert rows[0] == "| sampler | 2 NFE | 3 NFE |"
    assert rows[3].startswith("| `heun` | ")
    assert " (1) | " in rows[3]
    assert Image.open(here / "out.png").size[0] > 600


def test_a_budget_buys_as_many_steps_as_it_pays_for() -> None:
    namespace: dict = {}
    exec(compile(SCRIPT.read_text(), SCRIPT, "exec"), {"__name__": "bench"}, namespace)
    for entry in Registry.load().entries("sampler"):
        sampler = Registry.load().build("sampler", entry.name)
        for budget in (1, 5, 20):
            steps = namespace["steps_for"](sampler, budget)
            assert sampler.nfe(steps) <= budget < sampler.nfe(steps + 1)
