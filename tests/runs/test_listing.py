"""The list of runs, and how one is removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import InputError
from pipeline.commands import ls, rm
from pipeline.runs.listing import list_lines
from pipeline.store.locks import locked
from tests.helpers.tiny import run


def test_runs_of_every_state_are_listed(after_first: Path) -> None:
    for name, file, text in [
        ("broken", "run.json", "{"),
        ("half", "recipe.yaml", "name: half"),
        ("failed", "recipe.yaml", "name: failed"),
        ("versus", "compare.json", "{}"),
        ("notes", "text", "mine"),
    ]:
        Path("runs", name).mkdir()
        Path("runs", name, file).write_text(text)
    Path("runs/failed/diagnosis.json").write_text("[]")
    entries = {entry["name"]: entry for entry in ls()}
    assert {name: entry["state"] for name, entry in entries.items()} == {
        "broken": "damaged",
        "failed": "failed",
        "half": "unfinished",
        "tiny": "finished",
        "versus": "comparison",
    }
    assert entries["tiny"]["steps"] == 7
    assert list(entries["tiny"]["scores"]) == ["kid"]
    with locked(Path("runs/.locks/tiny"), lambda _: None):
        assert ls()[3]["state"] == "running"
        with pytest.raises(InputError, match="at work on it"):
            rm("tiny", yes=True)
    for width in (60, 200):
        lines = list_lines(list(entries.values()), width)
        assert max(map(len, lines)) <= width
        assert "KID" in "".join(lines)


def test_changes_are_told_whole(here: Path) -> None:
    changes = ["train.max_steps=8", "seed=3", "train.batch_size=3", "sample.num_steps=3"]
    run(*changes)
    (entry,) = ls()
    told = " ".join(line.strip() for line in list_lines([entry], 40))
    assert all(change in told for change in entry["changes"])
    assert len(entry["changes"]) == len(changes)


def test_rm_removes_what_the_run_wrote_and_nothing_else(after_first: Path) -> None:
    with pytest.raises(InputError, match="give --yes"):
        rm("tiny")
    Path("runs/tiny/mine.html").write_text("notes")
    done = rm("tiny", yes=True)
    assert done["kept"] == ["mine.html"]
    assert done["clean"] == "pipeline cache gc --forget runs/tiny"
    assert [path.name for path in Path("runs/tiny").iterdir()] == ["mine.html"]
    with pytest.raises(InputError, match="is no run"):
        rm("runs/tiny", yes=True)
    with pytest.raises(InputError, match="no such run"):
        rm("other", yes=True)
