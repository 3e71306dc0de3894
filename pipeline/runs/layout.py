"""What is called how in the folder of runs."""

from __future__ import annotations

from pathlib import Path

RUNS, RUN, RECIPE = Path("runs"), "run.json", "recipe.yaml"

LOCKS = ".locks"
"""The folder under ``runs/`` whose files say who is at work on a run."""

DIAGNOSIS = "diagnosis.json"
"""Why a run failed. What there is to say of a finished one is in ``run.json``."""
