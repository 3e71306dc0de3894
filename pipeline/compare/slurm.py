"""Trials as jobs of a Slurm cluster, sent by submitit; which job is whose is kept in a file.

A job is the trial's own command in this folder, with this store. Whatever ends this process, jobs
go on, and the same comparison finds them again.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

from submitit import SlurmExecutor
from submitit.core.utils import FailedJobError, FailedSubmissionError, JobPaths
from submitit.helpers import clean_env, environment_variables

from ..errors import Failed, InputError, Interrupted
from ..progress import note, progress
from ..runs.layout import LOCKS, RUN, RUNS
from ..store.checked import Damaged, read_json, write_json
from ..store.folders import make_folder
from ..store.locks import locked
from ..training.signals import stopping_softly
from .done import is_done
from .job import TrialJob
from .place import Place
from .setting import Setting
from .trials import Trial, last_lines, log_of

JOBS = "jobs.json"
"""In the comparison's folder: the number of each trial's job."""

GONE = "GONE"
"""The state of a job that Slurm knows no more."""
LOST = ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", GONE)
"""How a job ends that is sent again: through no fault of its own."""
AGAIN = ("CANCELLED", "COMPLETED")
"""How else it may have ended when the same comparison is asked for again."""
ENDED = (*LOST, *AGAIN, "DEADLINE", "FAILED", "OUT_OF_MEMORY", "TIMEOUT")

OFTEN, SELDOM = 1.0, 30.0
"""Seconds between two looks at the queue, at first and after a while."""
LATE = 60.0
"""Seconds after which a network file system shows what a job has written, at the latest."""
ROUNDS = 100
"""How often a job that is preempted or out of time is sent again by itself."""


def run_on_slurm(
    trials: Sequence[Trial], setting: Setting, place: Place, folder: Path
) -> list[str]:
    """Send what is not finished and wait for it. Returns what failed, each with its log's end.

    Jobs that an earlier call sent are found again. InputError, with Slurm's words, for options that
    it refuses; Failed where it does not answer.
    """
    waiting = [t for t in trials if not t.finished and not (t.there and is_done(t, setting))]
    cluster = _Cluster(folder, setting, place)
    failures: list[str] = []
    make_folder(RUNS / LOCKS)
    try:
        with locked(RUNS / LOCKS / f"{folder.name}.jobs", lambda holder: None):
            running, failures = cluster.begin(waiting)
        with progress("trials", len(waiting), len(waiting) - len(running)) as bar:
            pause = OFTEN
            while running:
                bar.step(0)
                time.sleep(pause)
                pause = min(SELDOM, 1.2 * pause)
                ended, failed = cluster.ended(running)
                running = [trial for trial in running if trial not in ended]
                failures += failed
                bar.step(len(ended))
    except BaseException:
        cluster.say_what_goes_on()
        raise
    return failures


class _Executor(SlurmExecutor):
    """submitit's, but the time limit is the partition's where none is given."""

    def _make_submission_file_text(self, command: str, uid: str) -> str:
        text = super()._make_submission_file_text(command, uid)
        given = self.parameters["additional_parameters"]
        return text if "time" in given else re.sub(r"#SBATCH --time=.*\n", "", text)


class _Cluster:
    """The jobs of a comparison's trials."""

    def __init__(self, folder: Path, setting: Setting, place: Place) -> None:
        self.setting, self.place = setting, place
        self.file, self.logs = folder / JOBS, folder.absolute() / "logs"
        self.name, self.sent = folder.name, 0
        self.jobs = _kept(self.file)
        self.said: dict[str, str] = {}
        make_folder(self.logs / "slurm")
        self.executor = _Executor(self.logs / "slurm", max_num_timeout=ROUNDS)

    # Sending ------------------------------------------------------------------------------------

    def begin(self, waiting: Sequence[Trial]) -> tuple[list[Trial], list[str]]:
        """Find the trials' jobs or send them: what runs now, and what had failed since."""
        states = states_of(self.jobs.values())
        running, failures = [], []
        for trial in waiting:
            job = self.jobs.get(trial.name)
            state = states.get(job, GONE) if job else GONE
            if job and state not in ENDED:
                note(f"{trial.title}: job {job} is found again, {log_of(trial, self.logs)}")
            elif job and (state not in (*LOST, *AGAIN) or failed_of(trial, self.logs).exists()):
                failures.append(self._failure(trial, state))
                continue
            else:
                self._send(trial)
            running.append(trial)
        return running, failures

    def _send(self, trial: Trial) -> None:
        options = {"job_name": self.name, **_underscored(self.place.slurm or {})}
        if self.place.jobs:  # of jobs with one name, Slurm runs one at a time
            options["job_name"] = f"{self.name}-{self.sent % self.place.jobs}"
            before = options.get("dependency")
            options["dependency"] = f"{before},singleton" if before else "singleton"
        self.sent += 1
        given = {"requeue": True, **options}
        self.executor.update_parameters(wckey=None, additional_parameters=given)
        words = trial.words(self.setting)
        with _undisturbed(), _as_from_no_job(), redirect_stderr(io.StringIO()):
            try:
                log, failed = log_of(trial, self.logs), failed_of(trial, self.logs)
                job = self.executor.submit(TrialJob(words, log, failed))
            except (FailedJobError, FailedSubmissionError) as error:
                raise _refusal(str(error), self.place) from error
            self.jobs[trial.name] = job.job_id
            write_json(self.file, self.jobs)
        note(f"{trial.title}: job {job.job_id} is sent, {log_of(trial, self.logs)}")

    # Waiting ------------------------------------------------------------------------------------

    def ended(self, running: Sequence[Trial]) -> tuple[list[Trial], list[str]]:
        """Which have ended for good, and what is to be told of those that failed."""
        states = states_of(self.jobs[trial.name] for trial in running)
        ended, failures = [], []
        for trial in running:
            state = states.get(self.jobs[trial.name], GONE)
            if state not in ENDED:
                self._say(trial, state)
            elif state == "COMPLETED":
                _await(trial.folder / RUN)
                note(f"{trial.title}: done")
                ended.append(trial)
            elif state in LOST and not failed_of(trial, self.logs).exists():
                note(f"{trial.title}: job {self.jobs[trial.name]} was lost ({state.lower()})")
                self._send(trial)
            else:
                ended.append(trial)
                failures.append(self._failure(trial, state))
        return ended, failures

    def _failure(self, trial: Trial, state: str) -> str:
        """Forget a job that failed, so that the same comparison sends it again; says how it was."""
        job = self.jobs.pop(trial.name)
        write_json(self.file, self.jobs)
        failed = failed_of(trial, self.logs)
        said = failed.read_text(encoding="utf-8").strip() if failed.exists() else None
        how = f"with {said}" if said is not None else f"as {state.lower()}"
        failed.unlink(missing_ok=True)
        own, theirs = log_of(trial, self.logs), JobPaths(self.logs / "slurm", job).stderr
        log = own if own.exists() and own.stat().st_size else theirs
        note(f"{trial.title}: failed")
        return f"{trial.title}: job {job} ended {how}\n{last_lines(log)}"

    def _say(self, trial: Trial, state: str) -> None:
        """Tell a state when it is a new one."""
        if self.said.get(trial.name) != state:
            self.said[trial.name] = state
            note(f"{trial.title}: {state.lower()}")

    def say_what_goes_on(self) -> None:
        """Tell which jobs are still there, and how to end them."""
        states = states_of(self.jobs.values())
        left = [job for job in self.jobs.values() if states.get(job, GONE) not in ENDED]
        if left:
            note(
                f"jobs {', '.join(left)} go on; the same command finds them again; to end them: "
                f"scancel {' '.join(left)}"
            )


def failed_of(trial: Trial, logs: Path) -> Path:
    """The file in which a trial's job notes that it failed, and how."""
    return log_of(trial, logs).with_suffix(".failed")


def states_of(jobs: Iterable[str]) -> dict[str, str]:
    """The state of each job that Slurm knows. Without its accounts it forgets them in minutes.

    A Slurm that does not answer, for a while, leaves all of them as pending.
    """
    wanted = list(jobs)
    if not wanted:
        return {}
    command = ["squeue", "--noheader", "--states=all", "--format=%i %T"]
    asked = subprocess.run(
        [*command, f"--jobs={','.join(wanted)}"], capture_output=True, text=True, check=False
    )
    if asked.returncode and "Invalid job id" not in asked.stderr:
        note(f"squeue: {asked.stderr.strip()}; asked again later")
        return dict.fromkeys(wanted, "PENDING")
    return dict(line.split() for line in asked.stdout.splitlines())


def _kept(file: Path) -> dict[str, str]:
    try:
        return {name: str(job) for name, job in read_json(file).items()}
    except FileNotFoundError:
        return {}
    except Damaged as error:
        raise InputError(
            f"{error}. It says which jobs run its trials: look for them with squeue, cancel them "
            "with scancel, then delete the file"
        ) from error


def _underscored(options: Mapping[str, str]) -> dict[str, str]:
    """As submitit names them, which knows some of them by their own names."""
    return {key.replace("-", "_"): value for key, value in options.items()}


def _refusal(said: str, place: Place) -> Exception:
    """Make an error of sbatch's words: InputError, or Failed where the cluster is at fault."""
    words = "; ".join(line.removeprefix("sbatch: ").strip() for line in said.splitlines())
    if re.search("Unable to contact|timed out|Connection refused", said):
        return Failed(f"Slurm does not answer: {words}")
    given = " ".join(f"--slurm {key}={value}" for key, value in (place.slurm or {}).items())
    return InputError(f"{given or '--on slurm'}: Slurm refuses this: {words}")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait until a job that Slurm has taken is noted; sbatch is spared it too."""
    with stopping_softly() as stop:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if stop.signum:
            raise Interrupted(stop.signum, "interrupted; the same command goes on from there")


@contextmanager
def _as_from_no_job() -> Iterator[None]:
    """Hide a job that this process itself may be in, but not where Slurm is and its defaults."""
    kept = {k: v for k, v in os.environ.items() if k == "SLURM_CONF" or k.startswith("SBATCH_")}
    with clean_env(), environment_variables(**kept):
        yield


def _await(file: Path) -> None:
    """Wait until a file that was written elsewhere is seen here."""
    end = time.monotonic() + LATE
    while not file.exists() and time.monotonic() < end:
        time.sleep(OFTEN)
