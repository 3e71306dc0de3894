"""docs/stages.md names what there is, and nothing else."""

import re

from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from tests.helpers.paths import ROOT

PAGE = ROOT / "docs/stages.md"


def test_every_stage_has_its_place_on_the_page():
    named = set(re.findall(r"`([a-z0-9_]+)`", PAGE.read_text()))
    missing = {entry.name for entry in Registry.load().entries()} - named
    assert not missing


def test_the_rows_of_its_tables_are_stages():
    registry = Registry.load()
    rows = re.findall(r"^\| `([a-z0-9_]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert len(rows) > 15
    assert set(rows) <= {entry.name for entry in registry.entries()}


def test_the_recipe_of_edm_is_a_recipe():
    from pipeline.recipe.yaml12 import parse

    [text] = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    problems: list = []
    node = parse(text, "page", problems)
    assert node is not None
    assert not problems
    given = node.plain
    for kind, spec in given.items():
        assert build_stage(Registry.load(), kind, spec)
