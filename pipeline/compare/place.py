"""Where trials run: ``--on``, ``--slurm`` and ``--jobs``."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from ..errors import InputError

OURS = ("array", "chdir", "error", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output")
"""Options of sbatch that a trial, one process in this folder with a log, leaves no choice of."""


@dataclass(frozen=True)
class Place:
    """This machine, or a cluster."""

    slurm: Mapping[str, str] | None
    """The options of ``sbatch``; None: this machine."""
    jobs: int | None
    """Trials at a time; None: one on this machine, on a cluster as many as it lets run."""

    @classmethod
    def parse(cls, on: str, slurm: Sequence[str], jobs: int | None) -> Place:
        """From what the shell gives. InputError for what does not go together."""
        if on not in ("local", "slurm"):
            raise InputError(f"--on {on}: should be local or slurm")
        if jobs is not None and jobs < 1:
            raise InputError(f"--jobs {jobs}: should be 1 or more")
        if slurm and on != "slurm":
            raise InputError(f"--slurm {slurm[0]}: is for trials on a cluster; add --on slurm")
        options = dict(map(_option, slurm))
        if len(options) < len(slurm):
            raise InputError(f"--slurm: {', '.join(slurm)} has one key twice")
        if on == "slurm":
            _check_machine()
        return cls(options if on == "slurm" else None, jobs)


def _check_machine() -> None:
    """InputError where jobs cannot be sent from."""
    for program in ("sbatch", "srun", "squeue", "scancel"):
        if shutil.which(program) is None:
            raise InputError(
                f"--on slurm: there is no {program} on this machine. Give the command on one from "
                "which jobs are sent to the cluster, or install Slurm's client (Debian: "
                "slurm-client)"
            )
    if find_spec("submitit") is None:
        raise InputError(
            "--on slurm: needs submitit, which is not installed: "
            "pip install 'diffusion-pipeline[slurm]'"
        )


def _option(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    key = key.strip().removeprefix("--").replace("_", "-")
    if not re.fullmatch(r"[a-z][a-z0-9-]+", key) or not value or "\n" in value:
        raise InputError(
            f"--slurm {text}: should be an option of sbatch by its long name, like partition=gpu, "
            "time=8:00:00 or gpus=1"
        )
    if key in OURS:
        raise InputError(f"--slurm {text}: a trial is one process here with its own log; leave out")
    return key, value
