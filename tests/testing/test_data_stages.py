"""The conformance kit on data, scoring and optimization: shipped stages pass, bugs are caught."""

from __future__ import annotations

from importlib import import_module

import pytest

from pipeline import testing
from pipeline.plugin.options import is_stage_class
from pipeline.plugin.registry import Registry
from pipeline.testing import examine
from pipeline_datasets.image_folder import ImageFolder
from tests.testing import broken
from tests.testing.broken.dataset import PHOTOS

KINDS = (
    *("dataset", "preprocessor", "codec", "augmentation"),
    *("guidance", "features", "metric", "optimizer", "lr_schedule"),
)
REGISTRY = Registry.load()
SHIPPED = [entry for kind in KINDS for entry in REGISTRY.entries(kind)]
BROKEN = [
    (kind, cls)
    for kind in KINDS
    for cls in vars(import_module(f"{broken.__name__}.{kind}")).values()
    if is_stage_class(cls) and cls.__module__ == f"{broken.__name__}.{kind}"
]


@pytest.mark.parametrize("entry", SHIPPED, ids=lambda entry: f"{entry.kind}-{entry.name}")
def test_every_shipped_stage_passes(entry, places):
    cls, options = entry.load(), places(entry.name)
    check = getattr(testing, f"check_{entry.kind}")
    report = check(cls(**options) if options else cls)
    assert report.ok
    assert len(report.findings) >= 9


@pytest.mark.parametrize(
    ("kind", "cls"), BROKEN, ids=[f"{kind}-{cls.__name__}" for kind, cls in BROKEN]
)
def test_a_bug_is_caught_by_the_check_that_names_it(kind, cls):
    report = examine(kind, cls, REGISTRY, only=lambda name: name == cls.caught_by)
    assert [found.check for found in report.findings] == [cls.caught_by]
    assert not report.ok, report.table()


def test_there_are_some_of_each_kind():
    assert {entry.kind for entry in SHIPPED} == {kind for kind, _ in BROKEN} == set(KINDS)


def test_a_dataset_with_one_more_file_than_is_copied_is_told(monkeypatch):
    """And is not half checked."""
    monkeypatch.setattr("pipeline.testing.problems.folder_copies.FILES", 3)
    report = examine("dataset", ImageFolder(root=PHOTOS), REGISTRY)
    assert report.ok
    told = {found.check: found.measured for found in report.findings}
    assert told["fingerprint sees a pixel"] == "no folder that could be copied and changed"
