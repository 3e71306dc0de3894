"""The quickstart's recipe, and what tests ask of its run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.artifacts.embed import read_features
from pipeline.artifacts.prepare import FILE
from pipeline.diffusion.images import Images
from pipeline.diffusion.measure import extract
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline.recipe.load import load
from pipeline.store.store import Store
from tests.helpers.paths import ROOT

QUICKSTART = ROOT / "recipes" / "quickstart.yaml"


class Finished:
    """What the tests need of the run."""

    def __init__(self, folder: Path) -> None:
        self.about: dict[str, Any] = json.loads((folder / "runs/quickstart/run.json").read_text())
        self.store = Store(folder / ".pipeline")
        self.registry = Registry.load()
        self.recipe = load(QUICKSTART, registry=self.registry).recipe
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
