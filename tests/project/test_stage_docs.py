"""docs/stages.md names what there is, each stage in the section of its kind, and nothing else."""

from __future__ import annotations

import re

import pytest

from pipeline.plugin.registry import KINDS, Registry
from pipeline.recipe.build import build_stage
from pipeline.recipe.yaml12 import parse
from tests.helpers.paths import ROOT

PAGE = (ROOT / "docs/stages.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
REGISTRY = Registry.load()
IN = {
    "Samplers": ("sampler",),
    "Guidances": ("guidance",),
    "Spacings": ("spacing",),
    "Schedules": ("schedule",),
    "Objectives": ("objective",),
    "Backbones": ("backbone", "upsampler"),
    "Metrics and features": ("metric", "features"),
    "Data": ("dataset", "preprocessor", "augmentation", "codec", "optimizer", "lr_schedule"),
}
"""Sections with the kinds that they are about; a table is about the first."""


def names(kind: str) -> set[str]:
    return {entry.name for entry in REGISTRY.entries(kind)}


def test_every_kind_has_its_section() -> None:
    assert list(IN) == list(SECTIONS)
    assert sorted(kind for kinds in IN.values() for kind in kinds) == sorted(KINDS)


@pytest.mark.parametrize("section", IN)
def test_every_stage_is_named_in_the_section_of_its_kind(section: str) -> None:
    named = set(re.findall(r"`([a-z0-9_]+)`", SECTIONS[section]))
    for kind in IN[section]:
        assert names(kind)
        assert names(kind) - named == set(), kind


@pytest.mark.parametrize("section", IN)
def test_a_table_has_a_row_for_every_stage_of_its_kind_and_no_other(section: str) -> None:
    rows = re.findall(r"^\| (.+?) \|", SECTIONS[section], re.MULTILINE)[2:]
    if section in ("Objectives", "Data"):  # a few in a sentence
        assert not rows
    else:
        assert len(rows) == len(set(rows))
        assert {row.strip("`") for row in rows} == names(IN[section][0])


def test_the_recipe_of_edm_is_a_recipe() -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    problems: list = []
    node = parse(text, "page", problems)
    assert node is not None
    assert not problems
    for kind, spec in node.plain.items():
        assert build_stage(REGISTRY, kind, spec)
