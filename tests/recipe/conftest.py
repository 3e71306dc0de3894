"""The stages that the recipes of these tests name, and a folder to write recipes in."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from pipeline import hookimpl
from pipeline.plugin.registry import Provider, Registry
from tests.helpers.recipe_stages import BASE, PLUGIN


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr("pipeline.plugin.registry.metadata.entry_points", lambda group: [])
    file = tmp_path / "stages.py"
    file.write_text(PLUGIN)
    return Registry.load([file])


@pytest.fixture(scope="session")
def installed() -> Registry:
    """The stages that come with the package."""
    return Registry.load()


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str = BASE, name: str = "x.yaml") -> str:
        Path(name).write_text(text)
        return name

    return write


@pytest.fixture
def heavy(registry: Registry, write, tmp_path: Path, monkeypatch) -> str:
    """A recipe with a backbone whose module cannot be imported."""
    (tmp_path / "heavy_stage_module.py").write_text("import heavy_library_that_is_not_there")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = ModuleType("heavy_plugin")
    plugin.register_backbones = hookimpl(lambda: {"big": "heavy_stage_module:Big"})  # type: ignore[attr-defined]
    registry.add(plugin, Provider("heavy_plugin", "heavy", "1.0"))
    return write(BASE.replace("{name: net, widths: [4, 8]}", "{name: big, widths: [2], loss: 3}"))
