"""A finished run for people at a notebook: its samples, scores and history as plain things."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from ..records import HistoryRecord, RunRecord, read_history
from ..store.store import Artifact, Store
from .folder import read_run, store_of

if TYPE_CHECKING:
    from PIL.Image import Image


def open_run(run: str | Path, *, store: Path | None = None) -> Run:
    """A finished run, by its folder or its name under ``runs/``. InputError for another name."""
    about = read_run(Path(run))
    return Run(Path(about["folder"]), about, store)


@dataclass(frozen=True, repr=False)
class Run:
    """What ``open_run`` gives; a notebook shows it as samples and scores."""

    folder: Path
    about: Mapping[str, Any]
    """Its ``run.json``."""
    given: Path | None = None
    """The store's folder, if not the one that ``run.json`` names."""

    @property
    def record(self) -> RunRecord:
        """Its ``run.json``."""
        return cast(RunRecord, self.about)

    @cached_property
    def store(self) -> Store:
        """Where its artifacts are."""
        return store_of(self.about, self.given)

    @property
    def validations(self) -> list[HistoryRecord]:
        """Its validations, oldest first."""
        return read_history(self.folder)

    def artifact(self, name: str) -> Artifact:
        """One of its artifacts, checked."""
        artifact = self.record["artifacts"][name]
        return self.store.open(artifact["kind"], artifact["key"])

    @property
    def recipe(self) -> dict[str, Any]:
        """Every value of the recipe, defaults too."""
        return dict(self.about["recipe"])

    @property
    def history(self) -> list[dict[str, Any]]:
        """A flat record for each validation, oldest first: ``pandas.DataFrame(run.history)``."""
        file = self.folder / "history.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [
            flat({k: v for k, v in json.loads(line).items() if k != "protocol"}) for line in lines
        ]

    @property
    def scores(self) -> list[dict[str, Any]]:
        """A flat record for each metric: value, standard error, and how it was measured."""
        found: Mapping[str, Any] = self.about["scores"]
        return [{"metric": name, **flat(one)} for name, one in found.items()]

    def sample(self, num_images: int | None = None, **options: Any) -> list[Image]:
        """New pictures; the options are those of ``pipeline.commands.sample``."""
        from PIL import Image

        from ..commands import sample

        with TemporaryDirectory() as folder:
            # Nothing is left beside the run, unless a folder is asked for.
            given = {"out": Path(folder), **options, "num_images": num_images}
            made = sample(self.folder, **given)
            files = sorted(Path(made["folder"]).glob("images/*.png"))
            return [Image.open(file).convert("RGB") for file in files]

    def __repr__(self) -> str:
        told = ", ".join(f"{one['metric']} {one['value']:.4g}" for one in self.scores)
        return f"<run {self.about['name']}{told and f': {told}'}>"

    def _repr_html_(self) -> str:
        from ..report.notebook import notebook_view

        return notebook_view(self.record, (self.folder / "samples.png").read_bytes())


def flat(data: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Mappings within as ``outer.inner``, lists as ``32×32``."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{name}.")
        else:
            listed = isinstance(value, list)
            found[before + name] = "×".join(map(str, value)) if listed else value
    return found
