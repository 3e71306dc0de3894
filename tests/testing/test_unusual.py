"""The conformance kit refuses no right stage, however unusual."""

from __future__ import annotations

import re

import pytest

from pipeline.plugin.kinds import CONTRACTS
from pipeline.plugin.options import is_stage_class
from pipeline.plugin.registry import Registry
from pipeline.testing import examine
from tests.testing import unusual

STAGES = {
    re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower(): cls
    for name, cls in vars(unusual).items()
    if is_stage_class(cls) and cls.__module__ == unusual.__name__
}
REGISTRY = Registry.load()


@pytest.mark.parametrize("kind", STAGES)
def test_a_right_stage_passes(kind):
    report = examine(kind, STAGES[kind], REGISTRY)
    assert report.ok, report.table()


def test_every_kind_but_datasets_has_one():
    assert {*STAGES} == {*CONTRACTS} - {"dataset"}
