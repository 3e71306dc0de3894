"""One rank's failure ends all, and is told once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ranks.conftest import fault, start


def test_a_crash_is_told_with_its_rank_and_traceback(tmp_path: Path) -> None:
    ended = fault(tmp_path, "crash")
    assert ended.code == 1
    assert ended.err.count("rank 1 of 2 failed:\nTraceback") == 1
    assert ended.err.count("RuntimeError: the dog ate it") == 1
    assert ended.err.count("Traceback") == 1


def test_a_killed_rank_is_named(tmp_path: Path) -> None:
    ended = fault(tmp_path, "killed", rank=0)
    assert ended.code == 1
    assert "failed: rank 0 of 2 was ended by SIGKILL" in ended.err
    assert "Traceback" not in ended.err


def test_a_killed_rank_is_named_by_torchrun(tmp_path: Path) -> None:
    ended = fault(tmp_path, "killed", torchrun=True)
    assert ended.code == 1
    assert "rank      : 1 (local_rank: 1)" in ended.err
    assert "Signal 9 (SIGKILL)" in ended.err


def test_wrong_input_found_by_a_rank_is_told_once(tmp_path: Path) -> None:
    ended = fault(tmp_path, "refusal")
    assert ended.code == 2
    assert ended.err.count("image 3: has no flower in it") == 1
    assert "Traceback" not in ended.err
    assert "failed" not in ended.err


@pytest.mark.parametrize("torchrun", [False, True])
def test_a_wrong_recipe_is_told_once(tmp_path: Path, torchrun: bool) -> None:
    ended = start(tmp_path, "--set", "train.batch_size=1", ranks=2, torchrun=torchrun)
    assert ended.code == (1 if torchrun else 2)  # torchrun's own code
    told = "train.batch_size 1: 2 processes share a batch, an image each at least"
    assert ended.err.count(told) == 1
    assert torchrun or ended.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()
