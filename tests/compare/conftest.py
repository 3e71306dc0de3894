"""Comparisons of variants of the tiny recipe, done and to be done."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from pipeline.runs.cost import Work
from tests.helpers.trials import COST, MANY, SWAP, compare, set_cost


@pytest.fixture
def many(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the recipe; costs are not measured, which takes seconds."""
    (here / "tiny.yaml").write_text(MANY)
    set_cost(monkeypatch, lambda _: COST)
    return here


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two variants with two seeds each, costs and all; only to be read."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "tiny.yaml").write_text(MANY)
    with chdir(folder):
        found = compare("tiny.yaml", swaps=[SWAP], seeds=2)
    return {**found, "root": folder}


@pytest.fixture
def asked(here: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The upsamplers of the networks that were measured, in their order; a step takes longer each
    time.
    """
    (here / "tiny.yaml").write_text(MANY)
    found: list[str] = []

    def measure(work: Work) -> dict[str, Any]:
        found.append(work.recipe["backbone"]["upsampler"]["name"])
        number = len(found)
        return {
            "cost": {"parameters": 7, "peak_memory": 100 * number},
            "steps": [0.1 * number, 0.1 * number],
            "evaluations": [0.01, 0.02],
        }

    monkeypatch.setattr("pipeline.compare.cost.measure", measure)
    return found
