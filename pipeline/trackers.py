"""The history of a training, shown by trackers such as TensorBoard, through accelerate.

A tracker gets what ``history.jsonl`` and ``grids/`` hold, at the same steps. It is told nothing
else, so that what it shows can always be made again from them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import InputError

TENSORBOARD = "tensorboard"

SINGLE = ("aim", "clearml")
"""Trackers whose ``log_images`` takes one image; the others take several."""

PROJECT = "pipeline"
"""What trackers with projects file the runs under."""


def check(names: Sequence[str]) -> None:
    """Raise InputError, with what to install, unless each of these trackers can be used."""
    for name in names:
        if name not in _available():
            package = "" if name == TENSORBOARD else f" {name.replace('_', '-')}"
            raise InputError(
                f"train.trackers: {name} is not installed: "
                f"pip install 'diffusion-pipeline[trackers]'{package}, or leave it out"
            )


class Trackers:
    """Those of a run, in ``folder`` where they keep files."""

    def __init__(self, names: Sequence[str], folder: Path, recipe: Mapping[str, Any]) -> None:
        check(names)
        self.names, self.folder, self.recipe = names, folder, recipe
        self._open: dict[str, Any] = {}
        self._told = -1

    def tell(self, views: Path) -> None:
        """What they do not know yet of ``history.jsonl`` and ``grids/``.

        They begin with the first record whatever another process has told them: TensorBoard's
        files are written anew, others open another run of the same name.
        """
        for line in (views / "history.jsonl").read_text().splitlines():
            record = json.loads(line)
            if record["step"] > self._told:
                self._told = record["step"]
                for name, tracker in self._opened().items():
                    _log(name, tracker, record, views / f"grids/step-{self._told:08d}.png")

    def close(self) -> None:
        """Write what is held back."""
        for tracker in self._open.values():
            tracker.finish()
        self._open = {}

    def _opened(self) -> dict[str, Any]:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        for name in self.names:
            if name not in self._open:
                kind = LOGGER_TYPE_TO_CLASS[name]
                if name == TENSORBOARD:
                    shutil.rmtree(self.folder / name, ignore_errors=True)
                    tracker = kind(name, self.folder)
                elif kind.requires_logging_directory:
                    tracker = kind(PROJECT, self.folder)
                else:
                    tracker = kind(PROJECT)
                tracker.start()
                tracker.store_init_configuration(dict(_flat(self.recipe)))
                self._open[name] = tracker
        return self._open
