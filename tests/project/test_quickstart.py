"""The quickstart as a user runs it, and whether its flowers are as good as the README says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.artifacts.embed import read_features
from pipeline.artifacts.prepare import FILE
from pipeline.diffusion.generate import generate
from pipeline.diffusion.images import Images
from pipeline.diffusion.measure import extract
from pipeline.diffusion.model import build_network, load_model
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline.recipe.load import load
from pipeline.store.store import Store
from tests.helpers.paths import ROOT

RECIPE = ROOT / "recipes" / "quickstart.yaml"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where ``pipeline run recipes/quickstart.yaml`` was run."""
    folder = tmp_path_factory.mktemp("quickstart")
    command = [sys.executable, "-m", "pipeline", "run", str(RECIPE)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for place in ("samples.png", "scores.json", "history.jsonl"):
        assert place in done.stdout
        assert (folder / "runs/quickstart" / place).is_file()
    return folder


class Finished:
    """What the tests need of the run."""

    def __init__(self, folder: Path) -> None:
        self.about: dict[str, Any] = json.loads((folder / "runs/quickstart/run.json").read_text())
        self.store = Store(folder / ".pipeline")
        self.registry = Registry.load()
        self.recipe = load(RECIPE, registry=self.registry).recipe
        assert self.recipe.features is not None
        self.extractor = self.recipe.features()
        self.images = Images(self.open("images") / FILE)
        self.metric = build_stage(self.registry, "metric", "kid")
        self.real = read_features(self.artifact("features of validation images"))

    def artifact(self, name: str) -> Any:
        one = self.about["artifacts"][name]
        return self.store.open(one["kind"], one["key"])

    def open(self, name: str) -> Path:
        path: Path = self.artifact(name).path
        return path

    def kid(self, batches: Iterator[Tensor]) -> float:
        value: float = self.metric(self.real, extract(self.extractor, batches)).value
        return value


@pytest.fixture(scope="module")
def run(finished: Path) -> Finished:
    return Finished(finished)


def test_kid_is_a_third_of_the_untrained_networks(run: Finished) -> None:
    trained = load_model(run.open("model"), run.registry, "cpu")
    untrained = trained.of(build_network(run.recipe, run.images.shape, None, "cpu").eval())
    drawn = generate(
        untrained,
        run.recipe.sample.sampler,
        20,
        range(200),
        seed=0,
        purpose="evaluate",
        batch_size=64,
    )
    assert run.about["scores"]["kid"]["value"] < run.kid(drawn) / 3


def test_kid_is_lower_than_that_of_gaussian_images(run: Finished) -> None:
    """Independent pixels, each with the training images' mean and variance at its place."""
    data = run.images.batch(run.images.indices("train")).double()
    noise = torch.randn(
        (len(run.real), *data.shape[1:]), generator=torch.Generator().manual_seed(0)
    )
    gaussian = (data.mean(0) + noise * data.std(0)).clamp(0, 255).round().to(torch.uint8)
    assert run.about["scores"]["kid"]["value"] < run.kid(iter(torch.split(gaussian, 64)))


def test_nothing_is_wrong_with_a_healthy_run(run: Finished) -> None:
    assert run.about["diagnosis"] == []


def test_samples_are_no_copies(run: Finished) -> None:
    """Distances to the nearest training image, in feature space."""
    indices = run.images.indices("train")
    train = extract(run.extractor, (run.images.batch(part) for part in _parts(indices)))
    drawn = read_features(run.artifact("features of scored samples"))
    nearest = [torch.cdist(x, train).min(1).values.median().item() for x in (drawn, run.real)]
    assert nearest[0] >= 0.8 * nearest[1]


def _parts(indices: Any) -> Iterator[Any]:
    return (indices[i : i + 64] for i in range(0, len(indices), 64))
