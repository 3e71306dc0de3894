"""Runs to sample from, images to train on, and what went through an extractor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.artifacts import embed
from pipeline.commands import open_run
from pipeline.diffusion.model import Model
from pipeline.plugin.contracts import Extractor
from pipeline.training import validate
from tests.helpers.tiny import CLASSES, RECIPE, STAGES, run, working_in

LEARNS = (
    RECIPE.replace("max_steps: 7", "max_steps: 150\n  condition: class")
    .replace("every: 3 steps", "every: 150 steps")
    .replace("checkpoint_every: 2 steps", "optimizer: {name: adamw, lr: 5e-3}")
    .replace("objective: denoising", "objective: {name: denoising, prediction: v}")
    .replace("schedule: cosine", "schedule: {name: cosine, max_signal_rate: 0.995}")
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has learnt enough for images to come back from their noise."""
    folder = tmp_path_factory.mktemp("inversion")
    with working_in(folder, LEARNS):
        run()
    return folder / "runs/tiny"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A finished run of a network that knows classes."""
    folder = tmp_path_factory.mktemp("classes")
    with working_in(folder, CLASSES):
        found = run()
    return folder, found


@pytest.fixture
def conditional(kept, monkeypatch: pytest.MonkeyPatch) -> dict:
    monkeypatch.chdir(kept[0])
    return kept[1]


@pytest.fixture
def model(conditional: dict) -> Model:
    """The run's, with class embeddings far enough from 0 for classes to matter."""
    made = open_run(conditional["folder"], plugins=[STAGES], device="cpu").model()
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in made.network.named_parameters():
            if "classes" in name:
                parameter.normal_(generator=drawn)
    return made


@pytest.fixture
def photos(here: Path) -> Path:
    """A folder of 30 small pictures in two classes."""
    noise = torch.Generator().manual_seed(0)
    for i in range(30):
        path = here / "photos" / "ab"[i % 2] / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(256, (16, 16, 3), generator=noise, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(path)
    return here / "photos"


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The images that went through an extractor each time: its name and how many."""
    found: list[tuple[str, int]] = []
    original = embed.extract

    def extract(extractor: Extractor, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        count = 0
        for features in original(extractor, batches):
            count += len(features)
            yield features
        found.append((extractor.id.split("/")[0], count))

    monkeypatch.setattr(embed, "extract", extract)
    monkeypatch.setattr(validate, "extract", extract)
    return found


PHOTOS = (
    CLASSES.replace("augment:", "preprocess: [center_crop, {name: resize, size: 16}]\naugment:")
    .replace("num_images: 4, grid: [2, 2]", "num_images: 4")
    .replace("max_steps: 7", "max_steps: 4")
)
"""A recipe that takes photos of any size."""


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of ``PHOTOS``, beside photos: a.png of 40×20, b/ of two."""
    folder = tmp_path_factory.mktemp("painter")
    drawn = np.random.default_rng(0)
    (folder / "b").mkdir()
    for name, size in {"a": (20, 40), "b/0": (16, 16), "b/1": (30, 24)}.items():
        pixels = drawn.integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    with working_in(folder, PHOTOS):
        run()
    return folder / "runs/tiny"


@pytest.fixture
def beside_painter(painter: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the photos as working folder; the run in it is called tiny."""
    monkeypatch.chdir(painter.parent.parent)
    return painter.parent.parent
