"""The conformance kit on data, scoring and optimization: every shipped stage, and broken ones."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from broken import datasets, images, scores, steps
from PIL import Image

from pipeline import testing
from pipeline.registry import Registry
from pipeline.testing import ConformanceError, examine
from pipeline_codecs.pixels import Pixels

KINDS = (
    *("dataset", "preprocessor", "codec", "augmentation"),
    *("features", "metric", "optimizer", "lr_schedule"),
)
REGISTRY = Registry.load()


def broken(*modules: ModuleType) -> list[Any]:
    return [
        cls
        for module in modules
        for cls in vars(module).values()
        if isinstance(cls, type) and "caught_by" in vars(cls)
    ]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of four photos, and a table."""
    root = tmp_path_factory.mktemp("given") / "photos"
    draw = np.random.default_rng(0)
    for name in ("rose", "tulip", "daisy"):
        (root / name).mkdir(parents=True)
        for i in range(4):
            pixels = draw.integers(0, 256, (20 + i, 24, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos beside a table with their labels."""
    root = tmp_path_factory.mktemp("table")
    for i in range(6):
        Image.new("RGB", (8, 8), (40 * i, 0, 0)).save(root / f"{i}.png")
    (root / "labels.csv").write_text("\n".join(f"{i}.png,{i % 3}" for i in range(6)))
    return root


@pytest.fixture(scope="module")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "small.pth"
    draw = torch.Generator().manual_seed(0)
    torch.save({"weights": torch.randn(768, 8, generator=draw)}, file)
    return file


@pytest.fixture
def places(request: pytest.FixtureRequest):
    """A stage's options for places only, from its name: what must be there to try it."""
    wanted = {
        "image_folder": lambda: {"root": request.getfixturevalue("photos")},
        "flowers102": lambda: {
            **{"root": request.getfixturevalue("flowers_tree")},
            **{"verify": False, "download": False},
        },
        "inception_v3": lambda: {"weights": request.getfixturevalue("inception_file")},
        "PixelsOnlyOfATable": lambda: {"root": request.getfixturevalue("table")},
        "SameIdForAllWeights": lambda: {"weights": request.getfixturevalue("small_weights")},
    }
    return lambda name: wanted[name]() if name in wanted else {}


@pytest.mark.parametrize(
    "entry",
    [entry for kind in KINDS for entry in REGISTRY.entries(kind)],
    ids=lambda entry: f"{entry.kind}-{entry.name}",
)
def test_every_shipped_stage_passes(entry, places):
    cls, options = entry.load(), places(entry.name)
    check = getattr(testing, f"check_{entry.kind}")
    report = check(cls(**options) if options else cls)
    assert report.ok
    assert len(report.findings) > 7


@pytest.mark.parametrize(
    "cls", broken(images, datasets, scores, steps), ids=lambda cls: cls.__name__
)
def test_every_bug_is_caught_by_the_check_that_names_it(cls, places, photos):
    options = places(cls.__name__)
    if cls.kind == "dataset" and "root" in cls.__annotations__ and not options:
        options = {"root": photos}
    stage = cls(**options) if options else cls
    report = examine(cls.kind, stage, only=lambda name: name == cls.caught_by)
    assert [found.check for found in report.findings] == [cls.caught_by]
    assert list(report.problems) == [cls.caught_by], report.table()


def test_kinds_have_broken_stages():
    found = broken(images, datasets, scores, steps)
    assert {cls.kind for cls in found} == set(KINDS)
    assert len(found) > 40
    assert len({cls.__name__ for cls in found}) == len(found)
