"""Where trials run: what is refused, and how GPUs are dealt out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline import InputError
from pipeline.compare import place, trials
from pipeline.compare.place import Place
from pipeline.compare.trials import environments
from tests.helpers.trials import SWAP, compare

REFUSED = {
    "not on slurm": (("local", ["partition=gpu"], None), "add --on slurm"),
    "elsewhere": (("moon", [], None), "should be local or slurm"),
    "no value": (
        ("slurm", ["exclusive"], None),
        "--slurm exclusive: should be an option of sbatch",
    ),
    "no key": (("slurm", ["=1"], None), "--slurm =1: should be"),
    "twice": (("slurm", ["time=1", "time=2"], None), "one key twice"),
    "ours": (("slurm", ["output=x"], None), "leave out"),
    "another form of ours": (("slurm", ["--ntasks_per_node=2"], None), "leave out"),
    "no jobs": (("local", [], 0), "--jobs 0: should be 1 or more"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_refused(name: str) -> None:
    arguments, said = REFUSED[name]
    with pytest.raises(InputError, match=re.escape(said)):
        Place.parse(*arguments)


def test_options_are_those_of_sbatch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "_check_machine", lambda: None)
    found = Place.parse("slurm", ["gpus_per_node=a100:2", "--time=8:00:00", "comment=a=b"], None)
    assert found.slurm == {"gpus-per-node": "a100:2", "time": "8:00:00", "comment": "a=b"}
    assert Place.parse("slurm", [], None).slurm == {}
    assert Place.parse("local", [], None).slurm is None


def test_a_machine_that_sends_no_jobs_is_told_before_any_work(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(many))
    with pytest.raises(InputError, match="there is no sbatch on this machine"):
        compare("tiny.yaml", swaps=[SWAP], on="slurm")
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(place, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'diffusion-pipeline\[slurm\]'"):
        compare("tiny.yaml", swaps=[SWAP], on="slurm")
    assert not Path("runs").exists()
    assert not Path(".pipeline").exists()


GPUS: dict[str, tuple[int, str | None, int, str, list[str | None]]] = {
    "one each": (4, None, 2, "auto", ["0", "1"]),
    "shared where there are fewer": (2, None, 3, "cuda", ["0", "1", "0"]),
    "those that are given": (2, "3, GPU-7c", 2, "auto", ["3", "GPU-7c"]),
    "a machine without": (0, None, 2, "auto", [None, None]),
    "hidden": (0, "", 2, "auto", [None, None]),
    "a device that is named": (4, None, 2, "cpu", [None, None]),
}


@pytest.mark.parametrize("name", GPUS)
def test_gpus_are_dealt_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count, given, jobs, device, dealt = GPUS[name]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert [one.get("CUDA_VISIBLE_DEVICES") for one in environments(jobs, device)] == dealt


def test_each_process_has_a_gpu_until_it_ends(
    many: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Process:
        returncode = 0

        def poll(self) -> int:
            return 0

    seen: list[str | None] = []

    def start(trial: Any, setting: Any, environment: dict[str, str], log: Path) -> Process:
        log.write_text("")
        seen.append(environment.get("CUDA_VISIBLE_DEVICES"))
        return Process()

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(trials, "_start", start)
    monkeypatch.setattr("pipeline.compare.compare._write", lambda *_: {})
    monkeypatch.setattr("pipeline.compare.compare.choose_device", lambda _: "cpu")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    from pipeline import commands
    from tests.helpers.tiny import STAGES

    commands.compare(["tiny.yaml"], swaps=[SWAP], seeds=2, jobs=2, plugins=[STAGES], store=many)
    assert sorted(map(str, seen)) == ["0", "0", "1", "1"]
    assert "started, runs/" in capsys.readouterr().err
