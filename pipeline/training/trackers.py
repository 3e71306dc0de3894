"""The history of a training, shown by trackers such as TensorBoard, through accelerate.

A tracker gets what ``history.jsonl`` and ``grids/`` hold, at the same steps, and the resolved
recipe as hyperparameters. It is told nothing else: what it shows can be made again from them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError

TENSORBOARD = "tensorboard"

PROJECT = "pipeline"
"""What trackers with projects file the runs under."""

CALLED = {
    "wandb": "name",
    "trackio": "name",
    "mlflow": "run_name",
    "swanlab": "experiment_name",
    "clearml": "task_name",
}
"""The option for the run's name of trackers with projects."""

SINGLE = ("aim", "clearml")
"""Trackers whose ``log_images`` takes one image; the others take several."""


def check(names: Sequence[str]) -> None:
    """Raise InputError, with what to install, unless each of these trackers can be used."""
    try:
        from accelerate.tracking import get_available_trackers
    except ModuleNotFoundError:
        there = []
    else:
        there = [str(name) for name in get_available_trackers()]
    for name in names:
        if name not in there:
            package = "" if name == TENSORBOARD else f" {name.replace('_', '-')}"
            raise InputError(
                f"train.trackers: {name} cannot be used, as its packages are not installed: "
                f"pip install 'diffusion-pipeline[trackers]'{package}, or leave it out"
            )


class Trackers:
    """Those of one run, opened when there is something to tell."""

    def __init__(self, names: Sequence[str], run: Path, recipe: Mapping[str, Any]) -> None:
        """``run`` is its folder: those that keep files have them in its ``trackers/``."""
        check(names)
        self.names, self.run, self.recipe = names, run, recipe
        self._open: dict[str, Any] = {}
        self._step = -1

    def tell(self, views: Path) -> None:
        """What is new in ``history.jsonl`` and ``grids/``.

        A process begins with the first record, whatever one before it has told: TensorBoard's files
        are written anew, so that an interrupted training has one curve; elsewhere there will be
        another run with the whole curve.
        """
        import numpy as np
        from PIL import Image

        for line in (views / "history.jsonl").read_text().splitlines():
            record = json.loads(line)
            if record["step"] <= self._step:
                continue
            self._step = record["step"]
            with Image.open(views / f"grids/step-{self._step:08d}.png") as grid:
                pixels = np.array(grid.convert("RGB"))
            for name in self.names:
                self._open[name] = self._open.get(name) or self._start(name)
                _log(name, self._open[name], record, pixels)

    def close(self) -> None:
        """Nothing more will be told."""
        for tracker in self._open.values():
            tracker.finish()
        self._open = {}

    def _start(self, name: str) -> Any:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        kind, folder = LOGGER_TYPE_TO_CLASS[name], self.run / "trackers"
        if name == TENSORBOARD:
            shutil.rmtree(folder / name, ignore_errors=True)
            tracker = kind(name, folder)
        elif kind.requires_logging_directory:
            tracker = kind(self.run.name, folder)
        else:
            tracker = kind(PROJECT, **({CALLED[name]: self.run.name} if name in CALLED else {}))
        tracker.start()
        tracker.store_init_configuration(dict(_flat(self.recipe)))
        return tracker


def _log(name: str, tracker: Any, record: Mapping[str, Any], grid: Any) -> None:
    """One record and its grid (H, W, 3). The scalars come last: they flush the images too."""
    step = record["step"]
    if hasattr(tracker, "log_images"):
        images = {"samples": grid if name in SINGLE else grid[None]}
        layout = {"dataformats": "NHWC"} if name == TENSORBOARD else {}
        tracker.log_images(images, step=step, **layout)
    tracker.log({k: v for k, v in record.items() if isinstance(v, (int, float))}, step=step)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """``train.optimizer.lr`` and 0.001, and so on: hyperparameters are words and numbers."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        value = {str(index): item for index, item in enumerate(value)}
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else key)
    else:
        yield path, value if isinstance(value, (bool, int, float, str)) else json.dumps(value)
