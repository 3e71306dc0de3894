"""The work that is disturbed: a tiny recipe, the folders that trials start from, their results."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.runs import cost
from pipeline.training.loop import Training

from .command import Ended, command

ROOT = Path(__file__).parents[2]
STAGES = ROOT / "tests/helpers/tiny_stages.py"

RECIPE = """\
name: tiny
dataset: {name: image_folder, root: %s}
features: projection
schedule: cosine
objective: denoising
backbone: {name: residual_unet, widths: [8], block_depth: 1}
train:
  max_steps: 6
  batch_size: 8
  checkpoint_every: 2 steps
  validate:
    {every: 3 steps, num_steps: 2, num_images: 4, grid: [2, 1], grid_num_steps: 2, metrics: [kid]}
sample: {num_steps: 2, num_images: 4, grid: [2, 2]}
evaluate: {num_steps: 2, num_images: 4, metrics: [kid]}
"""
LONGER = RECIPE.replace("max_steps: 6", "max_steps: 40").replace(
    "every: 3 steps", "every: 13 steps"
)
"""The same with 40 steps."""

MEASURED = {"cost": {"parameters": 1, "peak_memory": 1}, "steps": [1.0], "evaluations": [1.0]}
"""What a comparison is told of a training's cost."""

USERS = (
    "notes.txt",
    "drawn/mine.png",
    "drawn/images/mine.png",
    ".pipeline/notes.txt",
    "runs/notes.txt",
    "runs/mine/notes.txt",
    "runs/tiny/notes.txt",
    "runs/tiny/.draft.tmp",
)
"""A user's files; those in a run's folder come when there is one."""

PLUGIN = ("--plugin", str(STAGES))
SAMPLE = ("sample", "tiny", "--num-images", "2", "--seed", "1", "--out", "drawn", *PLUGIN)
SWAP = ("--swap", "train.optimizer.lr=1e-3,2e-3", "--seeds", "1", "--name", "both")
COMPARE = ("compare", "tiny.yaml", *SWAP, "--device", "cpu", *PLUGIN)
RUN = ("run", "tiny.yaml", "--device", "cpu", *PLUGIN)

VOLATILE = {
    *("seconds", "data_seconds", "images_per_second", "finished", "digest", "sha256", "cost"),
    *("machine", "versions", "command", "why", "reused", "folder", "store", "training"),
}
"""What differs between two undisturbed runs, or tells of this machine."""


@dataclass(frozen=True)
class Scenario:
    """A command and the state in which it is given."""

    name: str
    start: str
    words: tuple[str, ...]
    final: tuple[str, ...] = ()
    """A command that shows in the end that all is there; none: the command itself does."""


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("run", "nothing", RUN),
        Scenario("go on", "stopped", RUN),
        Scenario("run --fresh", "finished", (*RUN, "--fresh")),
        Scenario("report", "finished", ("report", "tiny")),
        Scenario("sample", "finished", SAMPLE),
        Scenario("gc", "littered", ("cache", "gc", "--forget", "runs/other"), RUN),
        Scenario("compare", "nothing", COMPARE),
        Scenario("40 steps", "nothing", ("run", "longer.yaml", "--device", "cpu", *PLUGIN)),
    )
}


class Slot:
    """A folder for one trial at a time: states are copied into ``work``."""

    def __init__(self, root: Path) -> None:
        self.root, self.work = root, root / "work"

    def begin(self, state: str) -> Path:
        """The work folder in this state, in which a user has files too."""
        kept = self.root / f"state-{state}"
        if not kept.exists():
            STATES[state](self)
            add_users_files(self.work)
            shutil.copytree(self.work, kept, symlinks=True)
        _put(kept, self.work)
        return self.work

    def do(self, scenario: Scenario, before: Callable[[], object] = lambda: None) -> Ended:
        """The scenario's command in the work folder as it is."""
        return command(scenario.words, self.work, before)


def _put(kept: Path, work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(kept, work, symlinks=True)


# States ----------------------------------------------------------------------------------------


def nothing(slot: Slot) -> None:
    """Recipes, and photos beside the work folder."""
    photos = slot.root.parent / "photos"
    slot.work.mkdir(parents=True)
    (slot.work / "tiny.yaml").write_text(RECIPE % photos)
    (slot.work / "longer.yaml").write_text((LONGER % photos).replace("tiny", "longer"))


def finished(slot: Slot) -> None:
    """A finished run."""
    slot.begin("nothing")
    _done(slot, RUN)


def stopped(slot: Slot) -> None:
    """A run that was killed in its fifth step."""
    slot.begin("nothing")
    command(RUN, slot.work, partial(stop_in_step, 4, signal.SIGKILL))


def littered(slot: Slot) -> None:
    """A finished run, and the artifacts of one that was deleted."""
    slot.begin("finished")
    _done(slot, (*RUN, "--set", "sample.num_steps=3", "--name", "other"))
    shutil.rmtree(slot.work / "runs/other")


def drawn(slot: Slot) -> None:
    """A finished run from which has been drawn."""
    slot.begin("finished")
    _done(slot, SCENARIOS["sample"].words)


def compared(slot: Slot) -> None:
    """A finished comparison."""
    slot.begin("nothing")
    _done(slot, SCENARIOS["compare"].words)


STATES = {f.__name__: f for f in (nothing, finished, stopped, littered, drawn, compared)}


def draw_photos(folder: Path) -> None:
    """A user's photos: 24 of 16×16 pixels, a bright square on noise."""
    folder.mkdir(parents=True)
    for i in range(24):
        noise = np.random.default_rng(i)
        pixels = noise.integers(0, 80, (16, 16, 3), np.uint8)
        left, top = noise.integers(0, 10, 2)
        pixels[top : top + 6, left : left + 6] = noise.integers(120, 255, 3, np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")


def _done(slot: Slot, words: Sequence[str]) -> None:
    ended = command(words, slot.work)
    if ended.code:
        raise RuntimeError(f"undisturbed, pipeline {' '.join(words)} ended so:\n{ended.err}")


def without_timing() -> None:
    """Let comparisons in this process take costs from here: measuring them takes half a minute."""
    assert callable(cost._asked), "it is called otherwise now"
    cost._asked = lambda work: MEASURED


def stop_in_step(step: int, signum: int) -> None:
    """Let this process get a signal when training begins the step after so many."""
    usual = Training.one_step

    def one_step(self: Training) -> None:
        if self.step == step:
            os.kill(os.getpid(), signum)
        usual(self)

    Training.one_step = one_step  # type: ignore[method-assign]


# What must be there -----------------------------------------------------------------------------


def add_users_files(work: Path) -> None:
    """A user's own files, wherever there is a folder for them that no run waits to make."""
    for name in USERS:
        file = work / name
        if not (name.startswith("runs/tiny/") and not file.parent.exists()):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"mine: {name}")


def users_losses(work: Path, state: Path) -> list[str]:
    """A user's files that were there in the state and are not any more as they were."""
    photos = work.parents[1] / "photos"
    names = [name for name in USERS if (state / name).exists()]
    lost = [name for name in names if not _is_mine(work / name, name)]
    more = [] if len(list(photos.iterdir())) == 24 else ["photos"]
    return [f"gone or changed: the user's {name}" for name in lost + more]


def _is_mine(file: Path, name: str) -> bool:
    return file.is_file() and file.read_text() == f"mine: {name}"


def results(work: Path) -> dict[str, str]:
    """A digest of each result, by name: weights, images, features, histories, scores, pictures."""
    found = {}
    for file in sorted(work.glob("runs/*/run.json")):
        found |= dict(_of_run(file))
    for file in sorted(work.glob("runs/*/compare.json")):
        found[f"{file.parent.name}: compare.json"] = _digest(file)
        found[f"{file.parent.name}: pictures"] = _digest(file.with_name("pictures.npy"))
    for file in sorted(work.glob("drawn/**/*.png")):
        found[file.relative_to(work).as_posix()] = _digest(file)
    return found


def _of_run(file: Path) -> Iterator[tuple[str, str]]:
    name = re.sub(r"-\d$", "", file.parent.name)  # beside a damaged folder it takes the next name
    try:
        record = json.loads(file.read_bytes())
        store = file.parent / record["store"]
        for title, artifact in record["artifacts"].items():
            folder = store / "artifacts" / artifact["kind"] / artifact["key"]
            for inner in sorted(folder.rglob("*")):
                if inner.is_file() and inner.name != "manifest.json":
                    yield f"{name}: {title}: {inner.relative_to(folder)}", _digest(inner)
        yield f"{name}: {file.name}", _of_plain(record["scores"])
    except (ValueError, KeyError, TypeError):
        yield f"{name}: {file.name}", "damaged"
        return
    for pattern in ("samples.png", "scores.json", "history.jsonl", "grids/step-*.png"):
        for inner in sorted(file.parent.glob(pattern)):
            yield f"{name}: {inner.relative_to(file.parent)}", _digest(inner)


def _digest(file: Path) -> str:
    if not file.exists():
        return "missing"
    data = file.read_bytes()
    try:
        if file.suffix in (".json", ".jsonl"):
            lines = data.splitlines() if file.suffix == ".jsonl" else [data]
            return _of_plain([json.loads(line) for line in lines])
    except ValueError:
        return "damaged"
    return hashlib.sha256(data).hexdigest()


def _of_plain(data: Any) -> str:
    return hashlib.sha256(json.dumps(_steady(data), sort_keys=True).encode()).hexdigest()


def _steady(data: Any) -> Any:
    if isinstance(data, dict):
        return {k: _steady(v) for k, v in data.items() if k not in VOLATILE}
    return [_steady(v) for v in data] if isinstance(data, list) else data
