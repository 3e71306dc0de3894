"""What is installed, and what may import what."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

MODELS = ROOT / "plugins/pipeline_models"
"""The package that has no stages, but models."""
PLUGINS = sorted({path.parent for path in ROOT.glob("plugins/*/__init__.py")} - {MODELS})


def test_names_that_the_wheel_installs(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    packages = {name for name in top if not name.endswith(".dist-info")}
    assert packages == {"pipeline", MODELS.name, *(plugin.name for plugin in PLUGINS)}
    assert len(top - packages) == 1
    assert all(name == "pipeline" or name.startswith("pipeline_") for name in packages)


def test_files_of_the_wheel(wheel: zipfile.ZipFile) -> None:
    there = set(wheel.namelist())
    recipes = {f"pipeline/recipes/{path.name}" for path in ROOT.glob("recipes/*.yaml")}
    assert len(recipes) >= 3
    assert recipes <= there
    assert "pipeline/recipes/recipe.schema.json" in there  # their first line names it
    templates = {str(p.relative_to(ROOT)) for p in ROOT.glob("pipeline/report/templates/*")}
    assert len(templates) >= 5
    assert templates <= there
    assert "pipeline/recipe/folder.yaml" in there
    modules = {str(p.relative_to(ROOT)) for p in ROOT.glob("pipeline/**/*.py")}
    modules |= {str(p.relative_to(ROOT / "plugins")) for p in ROOT.glob("plugins/*/*.py")}
    assert modules <= there
    assert {name for name in there if name.endswith(".py")} == modules


def test_entry_points_of_the_wheel(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    found = ConfigParser()
    found.read_string(wheel.read(name).decode())
    assert dict(found["console_scripts"]) == {"pipeline": "pipeline.__main__:main"}
    assert dict(found["pipeline"]) == {plugin.name: plugin.name for plugin in PLUGINS}
    models = {name for name, package in found["pipeline.models"].items() if package == MODELS.name}
    assert models == {file.parent.name for file in MODELS.glob("*/run.json")}
    inside = set(wheel.namelist())
    assert {f"{MODELS.name}/{name}/model/best.safetensors" for name in models} <= inside


def imports(file: Path) -> set[str]:
    """Top-level names of all modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_the_engine_imports_no_plugin() -> None:
    files = list(ROOT.glob("pipeline/**/*.py"))
    assert len(files) > 20
    for file in files:
        named = {name for name in imports(file) if name.startswith(("pipeline_", "plugins"))}
        assert not named, f"{file.relative_to(ROOT)} imports {named}"
        words = {p.name for p in PLUGINS if p.name in file.read_text()}
        assert not words, f"{file.relative_to(ROOT)} names {words}"


def test_the_source_root_is_no_package() -> None:
    assert PLUGINS
    assert not (ROOT / "plugins/__init__.py").exists()


def test_listing_plugins_imports_no_torch() -> None:
    names = [plugin.name for plugin in PLUGINS]
    code = f"import sys, {', '.join(names)}, pipeline\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)
def test_a_package_only_says_what_it_has(plugin: Path) -> None:
    tree = ast.parse((plugin / "__init__.py").read_text())
    assert ast.get_docstring(tree)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert len(functions) == 1
    assert functions[0].name.startswith("register_")
    assert imports(plugin / "__init__.py") <= {"pipeline", "collections", "__future__"}
