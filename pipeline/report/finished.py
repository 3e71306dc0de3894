"""A finished run as its page needs it: plain data and pixels, from its folder and its store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from ..diffusion.images import Bytes

if TYPE_CHECKING:
    from ..store.store import Artifact, Store


@dataclass(frozen=True)
class Finished:
    """What is there of a run; what it has not is None or empty."""

    about: dict[str, Any]
    """Its ``run.json``, with ``folder``."""
    store: Store

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return Path(self.about["folder"])

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """The records of validations, oldest first."""
        file = self.folder / "history.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @cached_property
    def grids(self) -> list[tuple[int, Path]]:
        """The pictures from the same noise, by step."""
        files = sorted((self.folder / "grids").glob("step-*.png"))
        return [(int(file.stem.removeprefix("step-")), file) for file in files]

    @cached_property
    def data(self) -> dict[str, int]:
        """How many images there are of each kind, and their size."""
        with h5py.File(self._opened("images").path / "images.h5") as file:
            validation = int(file["validation"][:].sum())
            height, width = file["images"].shape[2:]
            total = len(file["images"])
        return {"train": total - validation, "total": total, "height": height, "width": width}

    def real_images(self, indices: Sequence[int]) -> list[Bytes]:
        """Prepared images, uint8 (C, H, W) each."""
        with h5py.File(self._opened("images").path / "images.h5") as file:
            return [file["images"][i] for i in indices]

    def samples(self, most: int) -> Bytes:
        """The first ones, uint8 (N, C, H, W)."""
        with h5py.File(self._opened("samples").path / "samples.h5") as file:
            return np.asarray(file["images"][:most], np.uint8)

    def trace(self) -> dict[str, Any] | None:
        """The datasets of ``pipeline.artifacts.trace``."""
        if "trace" not in self.about["artifacts"]:
            return None
        with h5py.File(self._opened("trace").path / "trace.h5") as file:
            return {name: file[name][:] for name in file}

    def neighbours(self) -> dict[str, Any] | None:
        """The nearest training images of the first samples."""
        if "neighbours" not in self.about["artifacts"]:
            return None
        text = (self._opened("neighbours").path / "neighbours.json").read_text()
        found: dict[str, Any] = json.loads(text)
        return found

    def artifacts(self) -> list[dict[str, Any]]:
        """What the run made, with sizes in bytes."""
        return [
            {**one, "name": name, "size": self._opened(name).size}
            for name, one in self.about["artifacts"].items()
        ]

    def _opened(self, name: str) -> Artifact:
        one = self.about["artifacts"][name]
        return self.store.open(one["kind"], one["key"])
