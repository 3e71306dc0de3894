"""Power may be lost while a run's folder is written: what is there then can be gone on from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pipeline.runs.claim import recipe_in
from pipeline.runs.layout import RUN
from pipeline.store.checked import read_json
from pipeline.store.fingerprints import sha256_of
from pipeline.store.folders import is_leftover
from tests.helpers.power import watched
from tests.helpers.tiny import built, run

OTHER = "sample.num_images=5"


def states_of(folder: Path, into: Path, work: Any) -> list[Path]:
    """What a loss of power at any moment of ``work`` may leave of a folder, each state once."""
    with watched(folder) as disk:
        work()
    kept = []
    for number, (state, _) in enumerate(disk.after_every_cut(into / "state")):
        shutil.copytree(state, into / str(number))
        kept.append(into / str(number))
    return kept


def check(states: list[Path], recipes: list[Any]) -> None:
    """Each state is a run of one of these recipes or nothing; a record has its own files."""
    assert len(states) > 30
    finished = 0
    for state in states:
        folder = state / "tiny"
        if (folder / RUN).exists():
            finished += 1
            record = read_json(folder / RUN)
            assert record["recipe"] in recipes
            there = {name for name in record["files"] if (folder / name).exists()}
            assert {n for n in there if sha256_of(folder / n) != record["files"][n]} == set()
        if folder.is_dir() and not all(map(is_leftover, folder.iterdir())):
            assert recipe_in(folder) in recipes
    assert 0 < finished < len(states)


def test_a_new_runs_folder(after_first: Path, tmp_path: Path, first: dict[str, Any]) -> None:
    shutil.rmtree("runs")
    Path("runs").mkdir()
    states = states_of(Path("runs"), tmp_path / "states", run)
    check(states, [first["recipe"]])
    for state in states[:: len(states) // 8]:
        shutil.rmtree("runs")
        shutil.copytree(state, "runs")
        again = run()
        assert again["folder"] == "runs/tiny"
        assert not built(again)
        assert again["scores"] == first["scores"]


def test_a_run_that_takes_the_place_of_another(
    after_first: Path, tmp_path: Path, first: dict[str, Any]
) -> None:
    other = run(OTHER, name="other")
    states = states_of(
        Path("runs"), tmp_path / "states", lambda: run(OTHER, name="tiny", replace=True)
    )
    check(states, [first["recipe"], {**other["recipe"], "name": "tiny"}])
