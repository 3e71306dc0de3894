"""The conformance kit: it catches every broken stage, and all shipped stages pass it."""

from __future__ import annotations

import json
import re
from importlib import import_module
from inspect import cleandoc
from pathlib import Path

import pytest

from pipeline import testing
from pipeline.cli.main import cli
from pipeline.plugin.options import is_stage_class
from pipeline.plugin.registry import Registry
from pipeline.plugin.stage import stage
from pipeline.testing import examine
from tests.helpers.paths import ROOT
from tests.testing import broken

KINDS = ["schedule", "spacing", "sampler", "objective", "backbone", "upsampler"]
"""The others are in test_data_stages.py."""
BROKEN = {
    file.stem: [
        cls
        for cls in vars(import_module(f"{broken.__name__}.{file.stem}")).values()
        if is_stage_class(cls) and cls.__module__ == f"{broken.__name__}.{file.stem}"
    ]
    for file in sorted(Path(broken.__file__).parent.glob("[a-z]*.py"))
}
EVERY_BROKEN = pytest.mark.parametrize(
    ("kind", "cls"),
    [(kind, cls) for kind in KINDS for cls in BROKEN[kind]],
    ids=[f"{kind}-{cls.__name__}" for kind in KINDS for cls in BROKEN[kind]],
)
RIGHT = [
    ("sampler", "Euler"), ("sampler", "Ancestral"), ("sampler", "Heun"),
    ("objective", "V"), ("backbone", "Made"),
]  # fmt: skip
REGISTRY = Registry.load()
SHIPPED = [(kind, entry.name) for kind in KINDS for entry in REGISTRY.entries(kind)]
DOCS = (ROOT / "docs/conformance.md").read_text()
CAUGHT = (ROOT / "docs/caught.md").read_text()


@EVERY_BROKEN
def test_a_bug_is_caught_by_the_check_that_names_it(kind, cls):
    report = examine(kind, cls, REGISTRY, only=lambda name: name == cls.caught_by)
    assert [found.check for found in report.findings] == [cls.caught_by]
    assert not report.ok, report.table()


@pytest.mark.parametrize(("kind", "base"), RIGHT, ids=map("-".join, RIGHT))
def test_what_the_bugs_are_put_into_is_right(kind, base):
    """So that it is the bug that is caught."""
    mended = type(
        base, (getattr(import_module(f"{broken.__name__}.{kind}"), base),), {"__doc__": "Right."}
    )
    here = "works in another process"  # where a class that is made here cannot be found
    report = examine(kind, stage(mended), REGISTRY, only=lambda name: name != here)
    assert report.ok, report.table()


def test_there_are_enough_bugs():
    assert sum(map(len, BROKEN.values())) >= 25


@pytest.mark.parametrize(("kind", "name"), SHIPPED, ids=map("-".join, SHIPPED))
def test_every_shipped_stage_passes(kind, name):
    report = examine(kind, REGISTRY.find(kind, name).load(), REGISTRY)
    assert report.ok, report.table()
    assert len(report.findings) >= 12


def test_the_docs_have_every_bug():
    told = re.findall(r"^\| [a-z_]+ \| .+ \| .+ \|$", CAUGHT, re.MULTILINE)
    assert told[0] == "| kind | bug | caught by |"
    bugs = [
        f"| {kind} | {cleandoc(cls.__doc__).splitlines()[0].removesuffix('.')} | {cls.caught_by} |"
        for kind, classes in BROKEN.items()
        for cls in classes
    ]
    assert sorted(told[1:]) == sorted(bugs)


def test_the_docs_have_every_function_and_their_test_passes():
    assert set(re.findall(r"`(check_\w+)`", DOCS)) == {n for n in testing.__all__ if "check" in n}
    [test, _] = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    exec(test, names := {})
    names["test_my_upsampler"]()


def test_commands_in_the_docs_pass(capfd):
    [block] = re.findall(r"```bash\n(.*?)```", DOCS, re.DOTALL)
    for line in block.splitlines():
        assert line.startswith("pipeline plugins check ")
        cli(line.split()[1:], standalone_mode=False)
    last = json.loads(capfd.readouterr().out.rpartition("\n{\n")[2].join(("{", "")))
    assert last["name"] == "nearest"
    assert last["ok"]
    assert {"check", "measured", "problem", "ok"} == set(last["checks"][0])
