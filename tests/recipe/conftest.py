"""The stages that the recipes of these tests name, and a folder to write recipes in."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.plugin.registry import Registry
from tests.helpers.recipe_stages import BASE, PLUGIN


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr("pipeline.plugin.registry.metadata.entry_points", lambda group: [])
    file = tmp_path / "stages.py"
    file.write_text(PLUGIN)
    return Registry.load([file])


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str = BASE, name: str = "x.yaml") -> str:
        Path(name).write_text(text)
        return name

    return write
