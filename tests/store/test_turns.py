"""Two processes at one workspace, also where no lock locks: none writes what the other reads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import Failed
from pipeline.store import locks, turns
from pipeline.store.folders import write_text
from pipeline.store.store import Store
from tests.helpers.tiny import STAGES, built, history, model, run, same

ELSEWHERE = locks._with_sum("elsewhere machine boot pid:[1] 7 1 token")


def test_a_process_that_was_taken_for_dead_ends_before_it_harms_anything(store: Store) -> None:
    def stalled() -> None:
        with store.workspace("training", {}) as mine:
            write_text(mine / "step", "1")
            mine.with_name(mine.name + locks.HELD).write_text(ELSEWHERE)
            for lock in (store.root / "locks").iterdir():
                lock.unlink()  # as one does that has waited for minutes
            with Store(store.root).workspace("training", {}) as folder:
                assert (folder / "step").read_text() == "1"
                write_text(folder / "step", "2")
            write_text(mine / "step", "1 again")

    with pytest.raises(Failed, match="another process has taken this over"):
        stalled()
    with store.workspace("training", {}) as folder:
        assert [path.name for path in folder.iterdir()] == ["step"]
        assert (folder / "step").read_text() == "2"


def test_what_is_not_there_is_still_told_as_that(store: Store) -> None:
    def read() -> None:
        with store.workspace("training", {}) as folder:
            (folder / "nothing").read_text()

    with pytest.raises(FileNotFoundError):
        read()


def test_a_process_at_work_is_left_alone_and_the_furthest_is_taken_over(store: Store) -> None:
    workspace = store.root / "workspaces/training/key"
    folders = [workspace / f"turn-{i}" for i in range(4)]
    for i, folder in enumerate(folders):
        folder.mkdir(parents=True)
        (folder / "step").write_text(str(i))
    (workspace / "turn-2.held").write_text(ELSEWHERE)

    def how_far(folder: Path) -> float:
        return float((folder / "step").read_text())

    at_work = locks.marked(workspace / "turn-3.held")
    with at_work, turns.turn(workspace, how_far, anew=False) as mine:
        assert (mine / "step").read_text() == "2"
        left = {path.name for path in workspace.iterdir()}
        assert left == {mine.name, mine.name + ".held", "turn-3", "turn-3.held"}
    mark = [*locks._me().split()[:4], str(os.getppid()), "1", "token"]
    (workspace / "turn-3.held").write_text(
        locks._with_sum(" ".join(mark))
    )  # its number is another's by now
    with turns.turn(workspace, how_far, anew=False) as mine:
        assert (mine / "step").read_text() == "3"


def test_fresh_begins_anew_and_leaves_nothing_behind(store: Store) -> None:
    with store.workspace("training", {}) as folder:
        (folder / "step").write_text("1")
    with Store(store.root, fresh=True).workspace("training", {}) as folder:
        assert list(folder.iterdir()) == []
        assert len(list(folder.parent.glob("turn-*/"))) == 1


@pytest.mark.parametrize("fresh", [False, True])
def test_what_an_older_version_left_is_taken_in(store: Store, fresh: bool) -> None:
    with store.workspace("training", {}) as folder:
        (folder / "validations").mkdir()
        (folder / "step").write_text("1")
    for path in list(folder.iterdir()):
        path.rename(folder.parent / path.name)
    with Store(store.root, fresh=fresh).workspace("training", {}) as folder:
        kept = sorted(path.name for path in folder.iterdir())
        assert kept == ([] if fresh else ["step", "validations"])
        assert not (folder.parent / "step").exists()


WITHOUT = """
import sys
from contextlib import contextmanager
from pipeline.store import locks
@contextmanager
def claimed(*_):
    yield
locks._claimed = claimed
from pipeline.__main__ import main
main()
"""


def test_runs_at_once_without_any_lock_end_as_one_alone(
    first: dict[str, Any], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "tiny.yaml", "--plugin", str(STAGES), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", WITHOUT, *words],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 2, said
    assert Store(here / ".pipeline").verify() == {}
    again = run()
    assert not built(again)
    assert same(model(again), model({**first, "store": first["root"] / ".pipeline"}))
    assert history(again) == history(first)
    run("train.max_steps=9")
    assert "training goes on from step 7" in capsys.readouterr().err
    assert len(list(Path(".pipeline/workspaces/training").glob("*/turn-*/"))) == 1
