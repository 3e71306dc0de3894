"""The example notebook runs, and shows curves and pictures while it trains."""

from __future__ import annotations

import re
import sys
from html import unescape
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from pipeline import InputError, commands
from tests.helpers import tiny
from tests.helpers.paths import ROOT

NOTEBOOK = ROOT / "examples/quickstart.ipynb"


def test_the_example_notebook_runs(here: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = notebook.cells
    assert not any(cell.get("outputs") for cell in cells)
    [settings] = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    (here / "small.yaml").write_text(
        tiny.RECIPE.replace("augment: [trip]\n", "").replace("projection", "efficientnet_lite0")
    )
    settings.source = "recipe, changes = 'small.yaml', ['train.max_steps=6']"
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(here)}}).execute()
    [training] = [cell for cell in cells if "live=True" in cell.source]
    shown = [out for out in training.outputs if out.output_type == "display_data"]
    assert len(shown) == 1  # renewed in place
    page = unescape(shown[0].data["text/html"])
    assert "step 6" in page
    assert page.count("<svg viewBox") == 3  # two losses and kid
    assert page.count('<img src="data:image/') == 1
    assert any(
        "text/html" in out.get("data", {}) for cell in cells[6:] for out in cell.get("outputs", [])
    )
    assert any(
        "image/png" in out.get("data", {}) for cell in cells for out in cell.get("outputs", [])
    )


def test_the_notebook_names_what_there_is() -> None:
    text = NOTEBOOK.read_text()
    for name in re.findall(r"commands\.(\w+)", text):
        assert name in commands.__all__
    assert "blob/main/examples/quickstart.ipynb" in text


def test_curves_outside_a_notebook_are_refused(here: Path) -> None:
    with pytest.raises(InputError, match="in a notebook, and this is none"):
        tiny.run(live=True)
    assert not Path("runs").exists()


def test_a_missing_ipython_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(InputError, match="needs IPython: pip install ipykernel"):
        tiny.run(live=True)
