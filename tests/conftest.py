"""Fixtures that several test files use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision.models import Inception3

from pipeline.artifacts.files import IMAGES
from pipeline.artifacts.prepare import write_images
from pipeline.artifacts.split import split_indices
from pipeline.recipe.schema import Split
from pipeline.runs import cost
from pipeline_datasets.flowers102 import Flowers102
from pipeline_preprocessors.center_crop import CenterCrop
from pipeline_preprocessors.resize import Resize
from tests.helpers import tiny
from tests.helpers.paths import REAL
from tests.helpers.server import Server, serving


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow tests first, then the files of the kit, which take minutes each.

    Shared by several processes, the longest must not come last: the others would wait for them.
    """
    kit = Path(__file__).parent / "testing"
    items.sort(
        key=lambda item: (item.get_closest_marker("slow") is None, kit not in item.path.parents)
    )


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Sums must not depend on how many cores are there; and so small work is fastest so."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_waiting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait neither for disks, nor for another process that measures a training step.

    The machine keeps its power; tests of what a loss of it leaves record what is synced. The same
    steps are measured here, but for tests that are marked ``measures_apart``.
    """
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    if request.node.get_closest_marker("measures_apart") is None:
        monkeypatch.setattr(cost, "_asked", cost.answer_to)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with ``tiny.yaml``."""
    monkeypatch.delenv("PIPELINE_STORE", raising=False)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "tiny.yaml").write_text(tiny.RECIPE)
    return folder


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A finished run of the tiny recipe, in a folder of its own; only to be read."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "tiny.yaml").write_text(tiny.RECIPE)
    with chdir(folder):
        found = tiny.run()
    return {**found, "folder": str(folder / found["folder"]), "root": folder}


@pytest.fixture
def after_first(first: dict[str, Any], here: Path) -> Path:
    """A working folder in which the tiny recipe has been run."""
    shutil.copytree(first["root"], here, dirs_exist_ok=True)
    return here


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine, asked without a proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def real_flowers() -> Path:
    """The root of the real Oxford Flowers 102, where it is there."""
    if not (REAL / "flowers-102/jpg").is_dir():
        pytest.skip(f"needs the real flowers in {REAL}")
    return REAL


@pytest.fixture
def flowers_tree(tmp_path: Path) -> Path:
    """The root of a tiny tree of the Flowers 102 layout: 12 JPEGs of 3 classes, 4 in each part.

    Read it with ``verify=False``. Image i (1 … 12) has class (i - 1) % 3 and its own colour.
    """
    root = tmp_path / "data"
    jpg = root / "flowers-102/jpg"
    jpg.mkdir(parents=True)
    for i in range(1, 13):
        pixels = np.full((20 + i, 24, 3), (20 * i, 255 - 20 * i, 90), np.uint8)
        Image.fromarray(pixels).save(jpg / f"image_{i:05d}.jpg")
    savemat(jpg.parent / "imagelabels.mat", {"labels": np.arange(12)[None] % 3 + 1})
    parts = {"trnid": [5, 6, 7, 8], "valid": [1, 2, 3, 4], "tstid": [12, 11, 10, 9]}
    savemat(jpg.parent / "setid.mat", {key: np.array([ids]) for key, ids in parts.items()})
    return root


@pytest.fixture
def written(flowers_tree: Path, tmp_path: Path) -> Path:
    """The file of the prepared images of ``flowers_tree``, 16×16."""
    source = Flowers102(root=flowers_tree, verify=False)()
    write_images(
        tmp_path / IMAGES,
        source,
        (CenterCrop(), Resize(size=16)),
        split_indices(source.parts, Split(seed=2)),
    )
    return tmp_path / IMAGES


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the form of torchvision's file."""
    draw = torch.Generator().manual_seed(0)
    network = Inception3(init_weights=False)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=draw)
        elif value.dim() > 1:  # of a size that keeps signals alive through all layers
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=draw)
    file = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(network.state_dict(), file)
    return file
