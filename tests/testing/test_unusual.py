"""The conformance kit refuses no right stage, however unusual."""

from __future__ import annotations

import re

import pytest

from pipeline.plugin.kinds import CONTRACTS
from pipeline.plugin.options import is_stage_class
from pipeline.plugin.registry import Registry
from pipeline.testing import examine
from tests.testing import unusual


def kind_of(name: str) -> str:
    """That of the class ``LrSchedule``, or ``LrScheduleOfSomeKind``."""
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", name.partition("Of")[0]).lower()


STAGES = [
    cls
    for cls in vars(unusual).values()
    if is_stage_class(cls) and cls.__module__ == unusual.__name__
]
REGISTRY = Registry.load()


@pytest.mark.parametrize("cls", STAGES, ids=lambda cls: cls.__name__)
def test_a_right_stage_passes(cls):
    report = examine(kind_of(cls.__name__), cls, REGISTRY)
    assert report.ok, report.table()


def test_every_kind_but_datasets_has_one():
    assert {kind_of(cls.__name__) for cls in STAGES} == {*CONTRACTS} - {"dataset"}
