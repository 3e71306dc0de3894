"""Cleaning up takes nothing that a run needs, wherever the run is now."""

import json
import os
from pathlib import Path

import pytest

from pipeline.artifacts.trajectory import training_key
from pipeline.errors import InputError
from pipeline.runs.cache import cache
from pipeline.runs.opened import open_run
from pipeline.store.checked import write_json
from pipeline.store.store import Store


def build(folder: Path) -> None:
    (folder / "data").write_text("data")


def make_run(folder: Path, seed: int, *, finish: bool = True, noted: bool = True) -> None:
    """A run as the engine makes it: images, a training, a model, and ``run.json``."""
    store = Store(Path(".pipeline"))
    images = store.get_or_build("images", {"n": 1}, build)
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text("seed: 1")
    if noted:
        store.needs.begin(folder)
    trajectory = {"seed": seed, "inputs": {"images": images.content}}
    with store.workspace("training", trajectory) as workspace:
        (workspace / "step-1.json").write_text("{}")
    if finish:
        model = store.get_or_build("model", {**trajectory, "validate": 1, "steps": 1}, build)
        assert model.manifest["ingredients"]
        named = {a.kind: {"kind": a.kind, "key": a.key} for a in (images, model)}
        record = {
            "name": folder.name,
            "artifacts": named,
            "store": os.path.relpath(".pipeline", folder),
        }
        write_json(folder / "run.json", record)


def kinds() -> list[str]:
    return sorted(record["kind"] for record in cache("ls"))


def removed(**options: object) -> list[str]:
    return sorted(record["kind"] for record in cache("gc", **options))


ALL = ["images", "model", "training"]


@pytest.fixture
def project(here: Path) -> Path:
    make_run(Path("runs/a"), 1)
    return here


def move_runs(project: Path) -> None:
    Path("runs").rename("old")


def move_run(project: Path) -> None:
    Path("runs/a").rename("elsewhere")


def move_project(project: Path) -> None:
    os.chdir(project.parent)
    project.rename("project 2")
    os.chdir("project 2")


def cut_record(project: Path) -> None:
    Path("runs/a/run.json").write_text("{")


def empty_record(project: Path) -> None:
    Path("runs/a/run.json").write_text("")


def lose_record(project: Path) -> None:
    Path("runs/a/run.json").unlink()


def other_key(project: Path) -> None:
    text = Path("runs/a/run.json").read_text()
    key = json.loads(text)["artifacts"]["model"]["key"]
    Path("runs/a/run.json").write_text(text.replace(key, key[::-1]))


@pytest.mark.parametrize(
    "change",
    [move_runs, move_run, move_project, cut_record, empty_record, lose_record, other_key],
)
@pytest.mark.parametrize("with_other", [False, True])
def test_what_a_run_needs_stays_when_it_is_moved_interrupted_or_damaged(
    project: Path, change, with_other: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if with_other:
        make_run(Path("runs/b"), 2)
    change(project)
    if with_other and change in (move_runs, move_run):
        make_run(Path("runs/c"), 3)
    before = kinds()
    assert removed() == []
    assert kinds() == before
    if change in (move_runs, move_run):
        assert "runs/a" in capsys.readouterr().err


def test_what_is_gone_for_good_is_let_go_when_it_is_said(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(Path("runs/b"), 2)
    move_run(project)
    assert removed() == []
    told = capsys.readouterr().err
    assert f"pipeline cache gc --forget {project}/runs/a" in told
    assert removed(dry_run=True, forget=[Path("runs/a")]) == ["model", "training"]
    assert removed(forget=[Path("runs/a")]) == ["model", "training"]
    assert removed() == []
    assert kinds() == ALL
    assert capsys.readouterr().err == ""


def test_forgetting_a_folder_of_runs_takes_nothing_from_those_that_are_there(project) -> None:
    make_run(Path("runs/b"), 2)
    move_run(project)
    assert removed(forget=[Path("runs")]) == ["model", "training"]
    assert kinds() == ALL


def test_a_moved_run_that_was_opened_is_known_at_its_new_place(project, capsys) -> None:
    make_run(Path("runs/b"), 2)
    Path("elsewhere").mkdir()
    Path("runs/a").rename("elsewhere/a")
    assert open_run("elsewhere/a", store=Path(".pipeline")).store
    assert removed() == []
    assert capsys.readouterr().err == ""
    assert removed(forget=[Path("runs")]) == []


def test_an_interrupted_run_of_an_older_version_blocks_nothing_and_keeps_what_it_may_need(
    project, capsys
) -> None:
    for file in Path(".pipeline/needs").iterdir():
        file.unlink()
    lost = Store(Path(".pipeline")).get_or_build("samples", {"of": 1}, build)
    os.utime(lost.path / "manifest.json", (0, 0))
    make_run(Path("runs/half"), 2, finish=False, noted=False)
    assert removed() == ["samples"]
    assert kinds() == sorted([*ALL, "training"])
    assert "runs/half: not finished or damaged" in capsys.readouterr().err


def test_a_folder_of_runs_that_an_older_version_noted_and_that_is_not_there(project) -> None:
    gone = project / "gone"
    Path(".pipeline/runs.txt").write_text(f"{project / 'runs'}\n{gone}\n")
    with pytest.raises(InputError, match=f"not there.*--forget {gone}"):
        removed()
    assert removed(forget=[gone]) == removed() == []


def test_a_damaged_note_is_told(project) -> None:
    [file] = Path(".pipeline/needs").iterdir()
    file.write_bytes(file.read_bytes().replace(b"runs", b"run5"))
    with pytest.raises(InputError, match="needs"):
        removed()


def test_a_run_that_finishes_while_gc_waits_is_known(project, monkeypatch) -> None:
    """What is needed is asked for when nobody else uses the store."""
    order = []
    alone = Store._alone
    monkeypatch.setattr(Store, "_alone", lambda self: order.append("alone") or alone(self))
    monkeypatch.setattr("pipeline.runs.cache.live_keys", lambda *_: order.append("asked") or set())
    removed()
    assert order == ["alone", "asked"]


def test_the_training_that_a_model_came_from_is_needed(project) -> None:
    [model] = [record for record in cache("ls") if record["kind"] == "model"]
    manifest = json.loads((Path(model["path"]) / "manifest.json").read_text())
    assert training_key(manifest["ingredients"]) in {record["key"] for record in cache("ls")}
    for file in Path(".pipeline/needs").iterdir():
        file.unlink()
    assert removed() == []


FILES = ("run.json", "samples.png", "scores.json", "history.jsonl", "recipe.yaml", "grids/*3.png")


@pytest.mark.parametrize("name", FILES)
def test_verify_reads_the_folders_of_runs(after_first: Path, name: str) -> None:
    assert cache("verify") == {}
    [file] = Path("runs/tiny").glob(name)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    [(where, why)] = cache("verify").items()
    assert where == str(file.absolute())
    assert "digest differs" in why or "JSON" in why
    file.write_bytes(b"")
    assert len(cache("verify")) == 1
    file.unlink()
    assert len(cache("verify")) == (name != "run.json")
