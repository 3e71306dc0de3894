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
from typing import cast

from ..errors import ENDS_WITH_STDIN, Failed
from ..format import clock
from ..plugin.registry import Registry
from ..progress import note, progress
from ..runs.claim import folder_for
from ..runs.command import run_command, run_name
from ..runs.finished import RUNS
from ..runs.results import RunResult
from ..runs.run import run
from .setting import Setting
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
    """The name of its folder under ``runs/``."""
    named: bool
    """Whether the name has to be given: it is not the one that the overrides make."""
    folder: Path
    finished: bool
    """Whether it is a run that is taken as it is."""

    @property
    def title(self) -> str:
        """The trial in words."""
        return f"{self.variant}, seed {self.seed}"

    def command(self, setting: Setting) -> str:
        """The trial as a command, for any shell."""
        name, store = self.name if self.named else None, setting.session.store.root
        return run_command(self.file, self.overrides, name, setting.plugins, store, setting.device)


def trials_of(variants: Sequence[Variant], seeds: int, registry: Registry) -> list[Trial]:
    """Every variant with the first seed, then with the second: what ends early has all variants.

    Seeds count from the recipe's own. Finished runs have the one that they have.
    """
    return [
        _trial(variant, variant.loaded.recipe.seed + i, registry)
        for i in range(seeds)
        for variant in variants
    ]


def _trial(variant: Variant, seed: int, registry: Registry) -> Trial:
    other = seed != variant.loaded.recipe.seed
    wanted = variant.changed([f"seed={seed}"], registry) if other else variant
    if wanted.finished and wanted.run:
        name, named, folder = wanted.run.name, False, wanted.run
    else:
        usual = run_name(wanted.loaded)
        folder = RUNS / usual if wanted.run else folder_for(wanted.loaded)
        name, named = folder.name, wanted.run is not None or folder.name != usual
    return Trial(
        variant.name, seed, wanted.file, wanted.overrides, name, named, folder, wanted.finished
    )


def plan_trials(trials: Sequence[Trial], setting: Setting) -> list[str]:
    """The trials as commands, for any shell, in any order, at the same time."""
    return [trial.command(setting) for trial in trials if not trial.finished]


def run_trials(trials: Sequence[Trial], setting: Setting, jobs: int, logs: Path) -> None:
    """Run what is not finished, one after the other or ``jobs`` at a time.

    Raises Failed in the end if one has failed; the others are run all the same.
    """
    waiting = [trial for trial in trials if not trial.finished]
    failures = _one_by_one(waiting, setting) if jobs == 1 else _apart(waiting, setting, jobs, logs)
    if failures:
        raise Failed("\n".join([*failures, "Nothing else is lost: the other trials are kept."]))


def _one_by_one(waiting: Sequence[Trial], setting: Setting) -> list[str]:
    """In this process. What was reused says nothing about how long the others take."""
    seconds: list[float] = []
    failures = []
    for number, trial in enumerate(waiting):
        left = len(waiting) - number
        mean = sum(seconds) / len(seconds) if seconds else 0
        time_left = f" · about {clock(mean * left)} left" if seconds else ""
        note(f"trial {number + 1}/{len(waiting)} · {trial.title}{time_left}")
        try:
            record = _run_here(trial, setting)
        except Failed as error:
            note(str(error))
            failures.append(f"{trial.title}: {error}")
        else:
            if not record["artifacts"]["model"]["reused"]:
                seconds.append(record["seconds"])
    return failures


def _run_here(trial: Trial, setting: Setting) -> RunResult:
    result = run(
        trial.file,
        trial.overrides,
        name=trial.name if trial.named else None,
        plugins=setting.plugins,
        store=setting.session.store.root,
        device=setting.device,
    )
    return cast("RunResult", result)  # no dry run


def _apart(waiting: Sequence[Trial], setting: Setting, jobs: int, logs: Path) -> list[str]:
    """In processes of their own, which share the cores; each has a log."""
    logs.mkdir(parents=True, exist_ok=True)
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    queue, running, failures = list(waiting), dict[Trial, subprocess.Popen[bytes]](), list[str]()
    with progress("trials", len(waiting)) as bar:
        try:
            while queue or running:
                while queue and len(running) < jobs:
                    trial = queue.pop(0)
                    log = _log(trial, logs)
                    note(f"{trial.title}: started, {log}")
                    running[trial] = _start(trial, setting, environment, log)
                for trial in [t for t, process in running.items() if process.poll() is not None]:
                    failures += _ended(trial, running.pop(trial).returncode, _log(trial, logs))
                    bar.step()
                bar.step(0)
                time.sleep(0.2)
        finally:  # interrupted: each saves its work before it ends
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.wait()
    return failures


def _start(
    trial: Trial, setting: Setting, environment: Mapping[str, str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", *shlex.split(trial.command(setting))],
            stdin=subprocess.PIPE,  # which closes when this process is gone, and so ends the trial
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**environment, ENDS_WITH_STDIN: "1"},
            start_new_session=True,  # Ctrl-C reaches this process, which then stops them softly
        )


def _log(trial: Trial, logs: Path) -> Path:
    return logs / f"{trial.name}.log"


def _ended(trial: Trial, code: int, log: Path) -> list[str]:
    """Say that a trial has ended; returns what went wrong, if anything did."""
    note(f"{trial.title}: {'failed' if code else 'done'}")
    if not code:
        return []
    last = log.read_text(errors="replace").splitlines()[-TAIL:]
    end = "\n".join(f"  {line}" for line in last)
    return [f"{trial.title}: ended with exit code {code}\n{end}\n  {log}"]
