"""Trials on a real Slurm of one node; one file, so that its tests share it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline import InputError
from pipeline.compare import slurm
from pipeline.compare.place import Place
from pipeline.compare.trials import Trial
from pipeline.errors import Failed
from pipeline.store.checked import read_json, write_json
from tests.helpers.slurm import slurm_in
from tests.helpers.tiny import STAGES
from tests.helpers.trials import SWAP, compare

SLOW = ("augment=[{name: slow, seconds: 0.3}]", "train.max_steps=18")
"""Long enough to be disturbed."""


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cluster for all, asked often."""
    with slurm_in(tmp_path_factory.mktemp("slurm")), pytest.MonkeyPatch.context() as patch:
        patch.setattr(slurm, "SELDOM", slurm.OFTEN)
        yield


def on_slurm(*sources: str, **options: Any) -> dict[str, Any]:
    return compare(*sources, seeds=1, on="slurm", name="c", **options)


def jobs() -> dict[str, str]:
    kept = read_json(Path("runs/c/jobs.json"))
    return {name.rpartition("=")[2]: job for name, job in kept.items()}


def log(variant: str) -> str:
    (file,) = Path("runs/c/logs").glob(f"*{variant}.log")
    return file.read_text()


def until(true: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, subprocess.run(["squeue"], capture_output=True).stdout
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.1)


def test_trials_are_ordinary_runs_and_finished_ones_are_not_sent(
    many: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = on_slurm("tiny.yaml", swaps=[SWAP], slurm=["partition=main", "time=10"], jobs=1)
    assert len(found["pairs"]) == 1
    for variant in found["variants"]:
        record = read_json(Path(variant["runs"][0]) / "run.json")
        assert record["command"].startswith("pipeline run tiny.yaml --set backbone.upsampler=")
    sent = jobs()
    names = subprocess.run(
        ["squeue", "--states=all", "--format=%j %l", f"--jobs={','.join(sent.values())}"],
        capture_output=True,
        text=True,
    )
    assert set(names.stdout.splitlines()[1:]) == {"c-0 10:00"}  # one name: one at a time
    assert "job " + sent["bilinear"] in capfd.readouterr().err
    assert on_slurm("tiny.yaml", swaps=[SWAP])["pairs"] == found["pairs"]
    assert "is sent" not in capfd.readouterr().err
    assert jobs() == sent


def test_interrupted_and_preempted_it_goes_on(
    many: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = [word for given in SLOW for word in ("--set", given)]
    words = ["compare", "tiny.yaml", "--swap", SWAP, "--seeds", "1", "--name", "c", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *words, "--on", "slurm", "--plugin", STAGES],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    trainings = Path(".pipeline/workspaces/training")
    until(lambda: len({p.parts[3] for p in trainings.rglob("step-*.json")}) == 2, process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    sent = jobs()
    assert f"jobs {sent['bilinear']}, {sent['transposed_conv']} go on" in process.stderr.read()
    warn = ["scancel", "--signal=USR2", sent["bilinear"]]  # as before the end of the time
    subprocess.run(warn, check=True)
    subprocess.run(["scontrol", "requeue", sent["transposed_conv"]], check=True)
    found = on_slurm("tiny.yaml", swaps=[SWAP], overrides=SLOW)
    assert len(found["pairs"]) == 1
    said = capfd.readouterr().err
    assert said.count("is found again") == 2
    assert "is sent" not in said
    assert jobs() == sent
    for variant in sent:
        assert "training goes on from step" in log(variant)
    assert "stopped" in log("bilinear")  # by itself, after it had saved


def test_a_failing_trial_is_told_and_the_other_is_kept(many: Path) -> None:
    with pytest.raises(Failed, match=r"1e\+30, seed 0: job \d+ ended with exit code 1\n") as error:
        on_slurm("tiny.yaml", swaps=["train.optimizer.lr=1e+30,1e-3"])
    assert "Lower train.optimizer.lr" in str(error.value)
    assert "logs/tiny+lr=1e+30.log" in str(error.value)
    assert len(list(Path("runs").glob("*/run.json"))) == 1
    assert list(jobs()) == ["0.001"]  # the other is sent again when it is asked for again


@pytest.mark.parametrize(
    ("option", "said"),
    [("partition=nowhere", "invalid partition"), ("colour=red", "unrecognized option")],
)
def test_what_slurm_refuses_is_told_in_its_words(
    option: str, said: str, many: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=f"--slurm {option}: Slurm refuses this: .*{said}"):
        on_slurm("tiny.yaml", swaps=[SWAP], slurm=[option])
    assert said not in capfd.readouterr().err  # once is enough
    assert not Path("runs/c/jobs.json").exists()


ENDS = {  # state: what becomes of it when it is met at the beginning, and while it is waited for
    "PENDING": ("found", "found"),
    "COMPLETING": ("found", "found"),
    "PREEMPTED": ("sent", "sent"),
    "NODE_FAIL": ("sent", "sent"),
    "GONE": ("sent", "sent"),
    "COMPLETED": ("sent", "done"),  # whose results are there no more, or of other code
    "CANCELLED": ("sent", "failed"),
    "FAILED": ("failed", "failed"),
    "TIMEOUT": ("failed", "failed"),
}


@pytest.mark.parametrize("state", ENDS)
def test_what_becomes_of_a_job(state: str, many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial("a", 0, "tiny.yaml", (), "a", False, Path("runs/a"), False, False)
    monkeypatch.setattr(slurm, "states_of", lambda jobs: dict.fromkeys(jobs, state))
    monkeypatch.setattr(slurm, "LATE", 0.0)
    sent: list[Trial] = []
    monkeypatch.setattr(slurm._Cluster, "_send", lambda _, trial: sent.append(trial))

    def fate(waiting: Callable[[slurm._Cluster], tuple[list[Trial], list[str]]]) -> str:
        sent.clear()
        Path("runs/c").mkdir(parents=True, exist_ok=True)
        write_json(Path("runs/c/jobs.json"), {"a": "7"})
        cluster = slurm._Cluster(Path("runs/c"), cast(Any, None), Place({}, None))
        trials, failures = waiting(cluster)
        for failure in failures:
            assert failure.startswith(f"a, seed 0: job 7 ended as {state.lower()}\n")
            assert cluster.jobs == {}
        return "failed" if failures else "sent" if sent else "done" if trials else "found"

    def begin(cluster: slurm._Cluster) -> tuple[list[Trial], list[str]]:
        running, failures = cluster.begin([trial])
        assert (running == [trial]) != bool(failures)
        return [], failures

    assert (fate(begin), fate(lambda cluster: cluster.ended([trial]))) == ENDS[state]


def test_a_damaged_list_of_jobs_is_told(many: Path) -> None:
    Path("runs/c").mkdir(parents=True)
    Path("runs/c/jobs.json").write_text(json.dumps({"tiny": "1"}))
    with pytest.raises(InputError, match="which jobs run its trials"):
        on_slurm("tiny.yaml", swaps=[SWAP])
