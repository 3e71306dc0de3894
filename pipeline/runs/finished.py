"""A finished run for people at a notebook: its samples, scores and history as plain things."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from .folder import read_run

if TYPE_CHECKING:
    from PIL.Image import Image

BUDGET = 1_500_000
"""Bytes of the picture in a notebook."""


def open_run(run: str | Path) -> Run:
    """A finished run, by its folder or its name under ``runs/``. InputError for another name."""
    about = read_run(Path(run))
    return Run(Path(about["folder"]), about)


@dataclass(frozen=True, repr=False)
class Run:
    """What ``open_run`` gives; a notebook shows it as samples and scores."""

    folder: Path
    about: Mapping[str, Any]
    """Its ``run.json``."""

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
        from ..report import wording
        from ..report.encode import pictures
        from ..report.page import render

        directions = self.about.get("metrics", {})
        scores = self.about["scores"].items()
        picture = pictures([(self.folder / "samples.png").read_bytes()], BUDGET).uris[0]
        return render(
            "notebook.html",
            name=self.about["name"],
            picture=picture,
            scores=[wording.score(name, one, directions.get(name)) for name, one in scores],
        )


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
