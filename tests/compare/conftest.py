"""Comparisons of variants of the tiny recipe, done and to be done."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.trials import COST, MANY, SWAP, compare, set_cost


@pytest.fixture
def many(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the recipe; costs are not measured, which takes seconds."""
    (here / "tiny.yaml").write_text(MANY)
    set_cost(monkeypatch, lambda *_: COST)
    return here


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two variants with two seeds each, costs and all; only to be read."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "tiny.yaml").write_text(MANY)
    with chdir(folder):
        found = compare("tiny.yaml", swaps=[SWAP], seeds=2)
    return {**found, "root": folder}
