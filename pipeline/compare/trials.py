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

import torch

from ..errors import ENDS_WITH_STDIN, Failed
from ..format import clock
from ..plugin.registry import Registry
from ..progress import note, progress
from ..runs.claim import folder_for, has_finished
from ..runs.command import run_command, trial_name
from ..runs.layout import RUNS
from ..runs.results import RunResult
from ..runs.run import run
from .setting import Setting
from .variants import Variant

GPUS = "CUDA_VISIBLE_DEVICES"
"""The variable that says which of a machine's GPUs a process sees."""

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
    there: bool
    """Whether its folder has a finished run of its recipe."""

    @property
    def title(self) -> str:
        """The trial in words."""
        return f"{self.variant}, seed {self.seed}"

    def command(self, setting: Setting) -> str:
        """The trial as a command, for any shell."""
        name, store = self.name if self.named else None, setting.session.store.root
        return run_command(self.file, self.overrides, name, setting.plugins, store, setting.device)

    def words(self, setting: Setting) -> list[str]:
        """The command's words, ``pipeline`` first."""
        return shlex.split(self.command(setting))


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
        usual = trial_name(wanted.loaded)
        folder = RUNS / usual if wanted.run else folder_for(wanted.loaded, usual)
        name, named = folder.name, wanted.run is not None or folder.name != wanted.loaded.base
    return Trial(
        variant=variant.name,
        seed=seed,
        file=wanted.file,
        overrides=wanted.overrides,
        name=name,
        named=named,
        folder=folder,
        finished=wanted.finished,
        there=has_finished(folder, wanted.loaded),
    )


def plan_trials(trials: Sequence[Trial], setting: Setting) -> list[str]:
    """The trials as commands, for any shell, in any order, at the same time."""
    return [trial.command(setting) for trial in trials if not trial.finished]


def run_here(trials: Sequence[Trial], setting: Setting, jobs: int, logs: Path) -> list[str]:
    """Run what is not finished on this machine, one after the other or ``jobs`` at a time.

    Returns what failed; the others are run all the same.
    """
    waiting = [trial for trial in trials if not trial.finished]
    return _one_by_one(waiting, setting) if jobs == 1 else _apart(waiting, setting, jobs, logs)


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
    """In processes of their own, which share cores and GPUs; each has a log."""
    logs.mkdir(parents=True, exist_ok=True)
    places = environments(jobs, setting.device)
    queue, running, failures = list(waiting), dict[Trial, subprocess.Popen[bytes]](), list[str]()
    taken = dict[Trial, dict[str, str]]()
    with progress("trials", len(waiting)) as bar:
        try:
            while queue or running:
                while queue and len(running) < jobs:
                    trial = queue.pop(0)
                    log, taken[trial] = log_of(trial, logs), places.pop(0)
                    gpu = taken[trial].get(GPUS)
                    note(f"{trial.title}: started, {log}" + (f", GPU {gpu}" if gpu else ""))
                    running[trial] = _start(trial, setting, taken[trial], log)
                for trial in [t for t, process in running.items() if process.poll() is not None]:
                    failures += _ended(trial, running.pop(trial).returncode, log_of(trial, logs))
                    places.append(taken.pop(trial))
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
            [sys.executable, "-m", *trial.words(setting)],
            stdin=subprocess.PIPE,  # which closes when this process is gone, and so ends the trial
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment, ENDS_WITH_STDIN: "1"},
            start_new_session=True,  # Ctrl-C reaches this process, which then stops them softly
        )


def environments(jobs: int, device: str) -> list[dict[str, str]]:
    """The environment variables of each of ``jobs`` processes: its share of the cores, and a GPU.

    GPUs are dealt out in turn, those that CUDA_VISIBLE_DEVICES lets this process see; none where
    there are none or a device is named.
    """
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    cores = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads)}
    gpus = visible_gpus() if device in ("auto", "cuda") else []
    return [{**cores, **({GPUS: gpus[i % len(gpus)]} if gpus else {})} for i in range(jobs)]


def visible_gpus() -> list[str]:
    """This machine's GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    count = torch.cuda.device_count()
    given = [name.strip() for name in os.environ.get(GPUS, "").split(",") if name.strip()]
    return (given or [str(number) for number in range(count)])[:count]


def log_of(trial: Trial, logs: Path) -> Path:
    """Where a trial that runs apart says what it does."""
    return logs / f"{trial.name}.log"


def _ended(trial: Trial, code: int, log: Path) -> list[str]:
    """Say that a trial has ended; returns what went wrong, if anything did."""
    note(f"{trial.title}: {'failed' if code else 'done'}")
    if not code:
        return []
    return [f"{trial.title}: ended with exit code {code}\n{last_lines(log)}"]


def last_lines(log: Path) -> str:
    """The end of a log, with the log's place below it."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"  {line}" for line in [*lines[-TAIL:], log])
