"""Runs to sample from, images to train on, and what went through an extractor."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.artifacts import embed
from pipeline.commands import open_run
from pipeline.diffusion.model import Model
from pipeline.plugin.contracts import Extractor
from pipeline.training import validate
from tests.helpers.tiny import CLASSES, RECIPE, STAGES, run

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
    (folder / "tiny.yaml").write_text(LEARNS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("PIPELINE_STORE", raising=False)
        run()
    return folder / "runs/tiny"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A finished run of a network that knows classes."""
    folder = tmp_path_factory.mktemp("classes")
    (folder / "tiny.yaml").write_text(CLASSES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("PIPELINE_STORE", raising=False)
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

    def extract(extractor: Extractor, batches: Iterable[Tensor]) -> Tensor:
        features = original(extractor, batches)
        found.append((extractor.id.split("/")[0], len(features)))
        return features

    monkeypatch.setattr(embed, "extract", extract)
    monkeypatch.setattr(validate, "extract", extract)
    return found
