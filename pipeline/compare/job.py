"""A trial as a job of a cluster: what runs there, and what it does when it has to make room.

A cluster's job imports this and no torch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from submitit.helpers import DelayedSubmission

STOPPED = (-signal.SIGTERM, 128 + signal.SIGTERM)
"""How a trial ends that Slurm told to end, as it tells all processes of a job."""

GRACE = 600.0
"""Seconds in which Slurm kills, or sends again, a job that it told to end."""


class TrialJob:
    """A command of pipeline in a process of its own. submitit calls ``checkpoint`` on SIGUSR2."""

    def __init__(self, words: Sequence[str], log: Path, failed: Path) -> None:
        """``words`` begin with ``pipeline``; what they say goes to the end of ``log``.

        Where it fails, the file ``failed`` says how: Slurm may forget it within minutes.
        """
        self.words, self.log, self.failed = tuple(words), log, failed
        self._running: int | None = None

    def __call__(self) -> None:
        """Run it. RuntimeError, which makes the job a failed one, unless it ends well."""
        self.failed.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *self.words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._running = process.pid
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # leaves it for `checkpoint`
        self._running = None
        code = process.wait()
        if code in STOPPED:
            time.sleep(GRACE)  # to end now would make it a failed job, that nobody sends again
        if code:
            self.failed.write_text(f"exit code {code}", encoding="utf-8")
            raise RuntimeError(f"exit code {code}: {self.log}")

    def checkpoint(self) -> DelayedSubmission:
        """Have it save and end, as it does on SIGUSR2; the same job, sent again, goes on there."""
        if self._running is not None:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._running, signal.SIGUSR2)
                os.waitid(os.P_PID, self._running, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(TrialJob(self.words, self.log, self.failed))
