"""The quickstart's recipe, and what tests ask of its run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from pipeline.artifacts.embed import read_features
from pipeline.diffusion.measure import extract
from pipeline.recipe.load import load
from pipeline.runs.opened import open_run
from tests.helpers.paths import ROOT

QUICKSTART = ROOT / "recipes" / "quickstart.yaml"


class Quickstart:
    """What the tests need of the run."""

    def __init__(self, folder: Path) -> None:
        self.run = open_run(folder / "runs/quickstart", device="cpu")
        registry = self.run.session.registry
        self.recipe = load(QUICKSTART, registry=registry).recipe
        assert self.recipe.features is not None
        self.extractor = self.recipe.features()
        self.images = self.run.images()
        self.metric = self.run.stage("metric", "kid", "--metric")
        self.real = self.features("validation images")

    def features(self, name: str) -> Tensor:
        """The features (N, D) of these images."""
        return read_features(self.run.artifact(f"features of {name}"))[:]

    @property
    def score(self) -> float:
        """The run's KID."""
        return self.run.record["scores"]["kid"]["value"]

    def kid(self, batches: Iterator[Tensor]) -> float:
        """That of other images, uint8 (N, C, H, W)."""
        value: float = self.metric(self.real, self.extracted(batches)).value
        return value

    def extracted(self, batches: Iterator[Tensor]) -> Tensor:
        """The features (N, D) of images, uint8 (N, C, H, W)."""
        return torch.cat(list(extract(self.extractor, batches)))
