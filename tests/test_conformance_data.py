"""The conformance kit on data, scoring and optimization: shipped stages pass, bugs are caught."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from broken.dataset import PHOTOS
from PIL import Image

from pipeline import testing
from pipeline.plugin.options import is_stage_class
from pipeline.plugin.registry import Registry
from pipeline.testing import examine
from pipeline_datasets.image_folder import ImageFolder

KINDS = (
    *("dataset", "preprocessor", "codec", "augmentation"),
    *("features", "metric", "optimizer", "lr_schedule"),
)
REGISTRY = Registry.load()
SHIPPED = [entry for kind in KINDS for entry in REGISTRY.entries(kind)]
BROKEN = [
    (kind, cls)
    for kind in KINDS
    for cls in vars(import_module(f"broken.{kind}")).values()
    if is_stage_class(cls) and cls.__module__ == f"broken.{kind}"
]


@pytest.fixture(scope="session")
def inception_2015_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the form of torch-fidelity's file, of a size that keeps signals alive."""
    from pipeline_features.inception_2015 import Inception2015

    draw = torch.Generator().manual_seed(0)
    state = Inception2015().state_dict()
    for name, value in state.items():
        if value.dim() > 1:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=draw)
        elif name.endswith(("bn.weight", "running_var")):
            value.uniform_(0.5, 1.5, generator=draw)
    file = tmp_path_factory.mktemp("weights") / "inception_2015.pth"
    torch.save(state, file)
    return file


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as Hugging Face's save_to_disk writes it."""
    import datasets

    def part(start: int, count: int) -> datasets.Dataset:
        images = [
            Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8))
            for i in range(start, start + count)
        ]
        columns = {
            "image": images,
            "thumbnail": [image.reduce(2) for image in images],
            "label": [i % 2 for i in range(count)],
            "species": [["oak", "ash", "elm"][i % 3] for i in range(count)],
        }
        kinds = {"image": datasets.Image(), "thumbnail": datasets.Image()}
        kinds |= {"label": datasets.ClassLabel(names=["tulip", "rose"])}
        kinds |= {"species": datasets.Value("string")}
        return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))

    folder = tmp_path_factory.mktemp("hub") / "photos"
    datasets.DatasetDict(train=part(0, 6), test=part(6, 4)).save_to_disk(folder)
    return folder


@pytest.fixture
def places(request: pytest.FixtureRequest):
    """A stage's options for places only, by its name: what must be there to try it."""
    given = request.getfixturevalue
    wanted = {
        "image_folder": lambda: {"root": PHOTOS},
        "flowers102": lambda: {
            "root": given("flowers_tree"),
            "verify": False,
            "download": False,
        },
        "hf": lambda: {"path": str(given("saved"))},
        "inception_v3": lambda: {"weights": given("inception_file")},
        "inception_fid": lambda: {"weights": given("inception_2015_file")},
    }
    return lambda name: wanted[name]() if name in wanted else {}


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
