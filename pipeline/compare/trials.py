"""Trials: one variant with one seed, each an ordinary run in ``runs/``."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import commands
from ..errors import Failed
from ..format import clock
from ..plugin.registry import Registry
from ..progress import note, progress
from ..runs.folder import RUNS, run_name, words_of
from .variants import Variant

TAIL = 5
"""Lines of a failed trial's log that are told."""


@dataclass(frozen=True)
class Trial:
    """What one ``pipeline run`` makes."""

    variant: str
    seed: int
    file: str
    overrides: tuple[str, ...]
    name: str
    """Of its folder under ``runs/``."""
    named: bool
    """Whether the name has to be given: it is not the one that the overrides make."""
    folder: Path
    finished: bool
    """Whether it is a run that is taken as it is."""


@dataclass(frozen=True)
class Place:
    """Where and with what trials run."""

    store: Path
    device: str
    plugins: tuple[Path, ...]

    def words(self, trial: Trial) -> list[str]:
        """The trial as a command."""
        name = trial.name if trial.named else None
        return words_of(trial.file, trial.overrides, name, self.plugins, self.store, self.device)


def trials(variants: Sequence[Variant], seeds: int | None, registry: Registry) -> list[Trial]:
    """Every variant with the first seed, then with the second: what ends early has all variants.

    Seeds count from the recipe's own. Finished runs have the one that they have.
    """
    return [
        _trial(variant, variant.loaded.recipe.seed + i, registry)
        for i in range(seeds or 1)
        for variant in variants
    ]


def _trial(variant: Variant, seed: int, registry: Registry) -> Trial:
    other = seed != variant.loaded.recipe.seed
    wanted = variant.changed([f"seed={seed}"], registry) if other else variant
    if wanted.finished and wanted.run:
        name, named, folder = wanted.run.name, False, wanted.run
    else:
        name, named = run_name(wanted.loaded), wanted.run is not None
        folder = RUNS / name
    return Trial(
        variant.name, seed, wanted.file, wanted.overrides, name, named, folder, wanted.finished
    )


def plan(todo: Sequence[Trial], place: Place) -> list[str]:
    """The trials as commands, for any shell, in any order, at the same time."""
    return [shlex.join(place.words(t)) for t in todo if not t.finished]


def run(todo: Sequence[Trial], place: Place, jobs: int, logs: Path) -> None:
    """Run what is not finished, one after the other or ``jobs`` at a time."""
    waiting = [trial for trial in todo if not trial.finished]
    if jobs == 1:
        _here(waiting, place)
    else:
        _apart(waiting, place, jobs, logs)


def _here(waiting: Sequence[Trial], place: Place) -> None:
    """In this process. What was reused says nothing about how long the others take."""
    taken: list[float] = []
    failed = []
    for number, trial in enumerate(waiting):
        left = len(waiting) - number
        time_left = f" · about {clock(sum(taken) / len(taken) * left)} left" if taken else ""
        note(f"trial {number + 1}/{len(waiting)} · {trial.variant}, seed {trial.seed}{time_left}")
        try:
            found = _one(trial, place)
        except Failed as error:
            note(str(error))
            failed.append(f"{trial.variant}, seed {trial.seed}: {error}")
        else:
            if not found["artifacts"]["model"]["reused"]:
                taken.append(found["seconds"])
    _raise(failed)


def _one(trial: Trial, place: Place) -> Mapping[str, Any]:
    return commands.run(
        trial.file,
        trial.overrides,
        name=trial.name if trial.named else None,
        plugins=place.plugins,
        store=place.store,
        device=place.device,
    )


def _raise(failed: Sequence[str]) -> None:
    """Failed, with all that went wrong."""
    if failed:
        raise Failed("\n".join([*failed, "Nothing else is lost: the other trials are kept."]))


def _apart(waiting: Sequence[Trial], place: Place, jobs: int, logs: Path) -> None:
    """In processes of their own, which share the cores; each has a log."""
    logs.mkdir(parents=True, exist_ok=True)
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    queue, running, failed = list(waiting), dict[Trial, subprocess.Popen[bytes]](), list[str]()
    with progress("trials", len(waiting)) as bar:
        try:
            while queue or running:
                while queue and len(running) < jobs:
                    trial = queue.pop(0)
                    note(f"{trial.variant}, seed {trial.seed}: started, {_log(trial, logs)}")
                    running[trial] = _start(trial, place, environment, _log(trial, logs))
                for trial in [t for t, process in running.items() if process.poll() is not None]:
                    code = running.pop(trial).returncode
                    note(f"{trial.variant}, seed {trial.seed}: {'failed' if code else 'done'}")
                    failed += [_told(trial, code, _log(trial, logs))] if code else []
                    bar.step()
                bar.step(0)
                time.sleep(0.2)
        finally:  # interrupted: each saves its work before it ends
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.wait()
    _raise(failed)


def _start(
    trial: Trial, place: Place, environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", *place.words(trial)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches this process, which then stops them softly
        )


def _log(trial: Trial, logs: Path) -> Path:
    return logs / f"{trial.name}.log"


def _told(trial: Trial, code: int, log: Path) -> str:
    last = log.read_text(errors="replace").splitlines()[-TAIL:]
    end = "\n".join(f"  {line}" for line in last)
    return f"{trial.variant}, seed {trial.seed}: ended with exit code {code}\n{end}\n  {log}"
