"""The history of a training, shown by trackers such as TensorBoard, through accelerate.

A tracker gets what ``history.jsonl`` and ``grids/`` hold, at the same steps, and the resolved
recipe as hyperparameters. It gets nothing else: all that it shows can be made again from these.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import InputError
from ..records import HistoryRecord, Plain, read_history

# accelerate is imported where it is used: it is optional, and it imports torch.

TENSORBOARD = "tensorboard"

PROJECT = "pipeline"
"""The project under which trackers that have projects file the runs."""

CALLED = {
    "wandb": "name",
    "trackio": "name",
    "mlflow": "run_name",
    "swanlab": "experiment_name",
    "clearml": "task_name",
}
"""The option of these trackers that takes the run's name."""

SINGLE = ("aim", "clearml")
"""Trackers whose ``log_images`` takes one image; the others take several."""


Word = bool | int | float | str
"""A value that trackers take as a hyperparameter."""


class Tracker(Protocol):
    """The methods of all of accelerate's trackers."""

    def start(self) -> None:
        """Open the run."""
        ...

    def store_init_configuration(self, values: dict[str, Word]) -> None:
        """Show hyperparameters."""
        ...

    def log(self, values: dict[str, float], step: int) -> None:
        """Show numbers at a step."""
        ...

    def finish(self) -> None:
        """Close the run."""
        ...


@runtime_checkable
class ImageTracker(Tracker, Protocol):
    """A tracker that shows images too."""

    def log_images(
        self, values: dict[str, npt.NDArray[np.uint8]], step: int, **layout: str
    ) -> None:
        """Show images at a step."""
        ...


def check_trackers(names: Sequence[str]) -> None:
    """Raise InputError, with what to install, unless each of these trackers can be used."""
    try:
        from accelerate.tracking import get_available_trackers
    except ModuleNotFoundError:
        available = []
    else:
        available = [str(name) for name in get_available_trackers()]
    for name in names:
        if name not in available:
            package = "" if name == TENSORBOARD else f" {name.replace('_', '-')}"
            raise InputError(
                f"train.trackers: {name} cannot be used, as its packages are not installed: "
                f"pip install 'diffusion-pipeline[trackers]'{package}, or leave it out"
            )


class Trackers:
    """The trackers of one run, opened when there is something to show."""

    def __init__(self, names: Sequence[str], run: Path, recipe: Plain) -> None:
        """``run`` is its folder: trackers that keep files have them in its ``trackers/``."""
        check_trackers(names)
        self.names, self.run, self.recipe = names, run, recipe
        self._open: dict[str, Tracker] = {}
        self._step = -1

    def tell(self, views: Path) -> None:
        """Show what is new in ``history.jsonl`` and ``grids/`` of this folder.

        A process begins with the first record, whatever one before it has shown: TensorBoard's
        files are written anew, so that an interrupted training has one curve; elsewhere there will
        be another run with the whole curve.
        """
        for record in read_history(views):
            if record.step <= self._step:
                continue
            self._step = record.step
            with Image.open(views / f"grids/step-{record.step:08d}.png") as grid:
                pixels = np.array(grid.convert("RGB"))
            for name in self.names:
                self._open[name] = self._open.get(name) or self._start(name)
                _log(name, self._open[name], record, pixels)

    def close(self) -> None:
        """Close the trackers: nothing more will be shown."""
        for tracker in self._open.values():
            tracker.finish()
        self._open = {}

    def _start(self, name: str) -> Tracker:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        cls, folder = LOGGER_TYPE_TO_CLASS[name], self.run / "trackers"
        tracker: Tracker
        if name == TENSORBOARD:
            shutil.rmtree(folder / name, ignore_errors=True)
            tracker = cls(name, folder)
        elif cls.requires_logging_directory:
            tracker = cls(self.run.name, folder)
        else:
            tracker = cls(PROJECT, **({CALLED[name]: self.run.name} if name in CALLED else {}))
        tracker.start()
        tracker.store_init_configuration(dict(_hyperparameters(self.recipe)))
        return tracker


def _log(name: str, tracker: Tracker, record: HistoryRecord, grid: npt.NDArray[np.uint8]) -> None:
    """Show a record and its grid (H, W, 3). The numbers come last: they flush the images too."""
    if isinstance(tracker, ImageTracker):
        images = {"samples": grid if name in SINGLE else grid[None]}
        layout = {"dataformats": "NHWC"} if name == TENSORBOARD else {}
        tracker.log_images(images, step=record.step, **layout)
    numbers = {k: v for k, v in record.flat().items() if isinstance(v, (int, float))}
    tracker.log(numbers, step=record.step)


def _hyperparameters(value: object, path: str = "") -> Iterator[tuple[str, Word]]:
    """The recipe as words and numbers by their paths: ``train.optimizer.lr`` and 0.001."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        value = {str(index): item for index, item in enumerate(value)}
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _hyperparameters(item, f"{path}.{key}" if path else key)
    else:
        yield path, value if isinstance(value, (bool, int, float, str)) else json.dumps(value)
