import importlib
import sys

import pytest

from tests.helpers.package import DEEPER, HELPERS, STAGE, Package, new_identity


def test_release_is_its_version(tmp_path, monkeypatch):
    made = Package(tmp_path)
    monkeypatch.syspath_prepend(str(made.site))
    assert made.identity() == {"distribution": made.name, "version": "1.2"}


def test_module_outside_its_distribution_counts_by_source(tmp_path, monkeypatch):
    made = Package(tmp_path)
    monkeypatch.syspath_prepend(str(made.site))
    elsewhere = tmp_path / "checkout"
    elsewhere.mkdir()
    made.folder.rename(elsewhere / made.name)
    monkeypatch.syspath_prepend(str(elsewhere))
    assert len(made.identity()["source"]) == 64


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("heun", STAGE.replace("a comment", "another")),
        ("heun", STAGE.replace("docstring", "text")),
        ("heun", STAGE.replace("factor * x", "(factor\n            * x)")),
        ("heun", STAGE.replace('    """Field docstring."""\n', "\n\n")),
        ("_helpers", "# new\n" + HELPERS),
        ("other", "unrelated = 2"),
        ("__init__", "hooks = 2"),
    ],
)
def test_source_ignores_what_changes_nothing(package, module, text):
    before = package.identity()
    package.write(module, text)
    assert package.identity() == before


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("heun", STAGE.replace("order = 2", "order = 3")),
        ("heun", STAGE.replace("factor * x", "factor + x")),
        ("heun", STAGE + "\nprint('a string that is used')"),
        ("_helpers", HELPERS.replace("two", "three")),
        ("_deeper", "two = 3\n"),
    ],
)
def test_source_notices_what_changes_something(package, module, text):
    before = package.identity()
    package.write(module, text)
    assert package.identity()["source"] != before["source"]


@pytest.mark.parametrize(
    "line",
    [
        "from {0}._deeper import two",
        "import {0}._deeper",
        "from {0} import _deeper as d",
        "from ._deeper import *",
    ],
)
def test_every_way_to_import_is_followed(package, line):
    package.write("_helpers", line.format(package.name) + "\nfactor = 1\n")
    before = package.identity()
    package.write("_deeper", "two = 5\n")
    assert package.identity() != before


ENGINE_IMPORTS = [
    "",
    "import pipeline\n",
    "from pipeline import Rates, stage\n",
    "from pipeline.plugin.contracts import Denoise\nfrom pipeline import Rates\n",
    "from pipeline.plugin import (\n    draws,\n)\nimport pipeline.plugin.stage, pipeline.errors\n",
]


@pytest.mark.parametrize("line", ENGINE_IMPORTS[1:])
@pytest.mark.parametrize("module", ["heun", "_helpers", "_deeper"])
def test_source_ignores_what_is_imported_from_the_engine(package, module, line):
    text = {"heun": STAGE, "_helpers": HELPERS, "_deeper": DEEPER}[module]
    before = package.identity()
    package.write(module, line + text)
    assert package.identity() == before


def test_source_ignores_imports_from_the_engine_at_any_depth(package):
    text = """
from typing import TYPE_CHECKING
import sys{module}
if TYPE_CHECKING:
    from torch import Tensor
    from pipeline{inner} import Denoise
class Heun:
    def __call__(self, x):
        from pipeline{inner} import open_rgb
        return open_rgb(x)
"""
    package.write("heun", text.format(module="", inner=""))
    before = package.identity()
    package.write("heun", text.format(module=", pipeline.errors", inner=".plugin.photo"))
    assert package.identity() == before
    package.write("heun", text.format(module=", os", inner=""))
    assert package.identity() != before


@pytest.mark.parametrize(
    "line",
    ["import pipeline_samplers\n", "from pipeline_samplers import ddim\n", "import pipelines\n"],
)
def test_source_notices_imports_from_other_packages(package, line):
    before = package.identity()
    package.write("heun", line + STAGE)
    assert package.identity() != before


def test_name_taken_from_the_package_itself_is_followed(package):
    package.write("_helpers", "from . import hooks as factor\n")
    before = package.identity()
    package.write("__init__", "hooks = 2")
    assert package.identity() != before


def test_imports_in_a_circle_end(package):
    package.write("_deeper", "import sys\ndef later():\n    from . import _helpers\ntwo = 2\n")
    assert package.identity()


def test_plugin_file(tmp_path, monkeypatch):
    file = tmp_path / "my_sampler.py"
    file.write_text("class Mine:\n    order = 1\n")
    spec = importlib.util.spec_from_file_location("some.name.my_sampler", file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "some.name.my_sampler", module)
    spec.loader.exec_module(module)
    before = new_identity(module.Mine, None)
    assert before["distribution"] is None
    file.write_text("class Mine:\n    '''Mine.'''\n\n    order = 1  # first\n")
    assert new_identity(module.Mine, None) == before
    file.write_text("class Mine:\n    order = 2\n")
    assert new_identity(module.Mine, None) != before
