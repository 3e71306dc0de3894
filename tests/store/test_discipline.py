"""Stores that can only be read, folders of other versions, rot, and what kills leave."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from pipeline.errors import Failed, InputError
from pipeline.store.checked import read_json, write_json, write_lines
from pipeline.store.locks import HELD
from pipeline.store.store import Store
from pipeline.store.weights import read_weights, write_weights


def writes():
    def build(folder: Path) -> None:
        (folder / "data.txt").write_text("hello")

    return build


def never(folder: Path) -> None:
    raise AssertionError("built again")


@pytest.mark.parametrize("missing", [(), ("needs", "locks", "workspaces")])
def test_a_store_that_can_only_be_read_serves_what_only_reads(
    store, tmp_path, read_only, caplog, missing
):
    made = store.get_or_build("images", {"size": 1}, writes())
    for name in missing:
        shutil.rmtree(store.root / name)
    read_only(store.root)
    again = Store(store.root)
    assert again.find("images", {"size": 1}) == again.open("images", made.key)
    assert again.get_or_build("images", {"size": 1}, never).reused
    assert [record.key for record in again.ls()] == [made.key]
    assert again.verify() == {}
    assert again.gc(set, dry_run=True) == again.ls()
    assert again.digest(made.path / "data.txt") == hashlib.sha256(b"hello").hexdigest()
    again.needs.begin(tmp_path / "runs/a")
    again.needs.add(tmp_path / "runs/b", [made.key])
    assert "cannot be written, so gc there will not know of" in caplog.text
    with pytest.raises(Failed, match="the store cannot be used"):
        again.get_or_build("images", {"size": 2}, writes())


def test_a_workspace_of_another_version_is_refused_and_kept(store):
    made = store.get_or_build("images", {}, writes())
    with store.workspace("training", {}) as turn:
        folder = turn.parent
    for path in (folder, made.path):
        state = read_json(path / "manifest.json")
        write_json(path / "manifest.json", {**state, "format": 3})
    fresh = Store(store.root)
    with (
        pytest.raises(InputError, match=r"another version .*format 3"),
        fresh.workspace("training", {}),
    ):
        pass
    with pytest.raises(InputError, match=r"another version .*format 3"):
        fresh.get_or_build("images", {}, never)
    assert read_json(folder / "manifest.json")["format"] == 3


def test_a_manifest_of_the_first_format_is_read(store):
    made = store.get_or_build("images", {}, writes())
    with store.workspace("training", {}) as folder:
        (folder / "step-1.json").write_text("{}")
    for path in (folder.parent, made.path):
        state = read_json(path / "manifest.json")
        (path / "manifest.json").write_text(json.dumps({**state, "format": 1}))
    fresh = Store(store.root)
    assert fresh.get_or_build("images", {}, never).reused
    with fresh.workspace("training", {}) as again:
        assert (again / "step-1.json").exists()
    assert fresh.verify() == {}


@pytest.mark.parametrize("word", [b'"why"', b'"created"', b'"versions"', b'"kind"', b'"format"'])
def test_a_flipped_bit_anywhere_in_a_manifest_is_noticed(store, word):
    made = store.get_or_build("images", {"size": 1}, writes())
    path = made.path / "manifest.json"
    sound = path.read_bytes()
    place = sound.index(word)
    for position in range(place, place + len(word) + 6):
        if not sound[position : position + 1].isspace():
            flipped = bytes([sound[position] ^ 1])
            path.write_bytes(sound[:position] + flipped + sound[position + 1 :])
            assert store.verify() == {f"images/{made.key}": "manifest.json was damaged"}


def test_verify_reads_workspaces(store):
    with store.workspace("training", {}) as folder:
        write_weights(folder / "step-1", {"w": torch.ones(5)}, {"step": 1})
        write_lines(folder / "history.jsonl", ["1", "2"])
        (folder / "old.json").write_text("{}")
        (folder / "old.jsonl").write_text("{}\n")
    name = f"training/{folder.parent.name}"
    assert store.verify() == {}
    for file in ("step-1.json", "step-1.safetensors", "history.jsonl", "../manifest.json"):
        whole = (folder / file).read_bytes()
        place = len(whole) // 3
        (folder / file).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        [(where, _)] = store.verify().items()
        assert where.startswith(name)
        (folder / file).write_bytes(whole)
    (folder / "step-1.safetensors").unlink()
    assert list(store.verify()) == [f"{name}/{folder.name}/step-1.json"]


def test_leftovers_of_kills_go_with_the_next_run_and_with_gc(store):
    def litter(folder: Path) -> None:
        for file in (".tmpAb12xY", ".step-2.json.0123abcd.tmp", "step-9.safetensors"):
            (folder / file).write_text("left")
        (folder / ".views.0123abcd.tmp").mkdir()

    with store.workspace("training", {}) as folder:
        for step in (1, 1):
            write_weights(folder / "step-1", {"w": torch.ones(5) * step}, {"step": step})
        (folder / ".mine.tmp").write_text("a user's")
        before = sorted(path.name for path in folder.iterdir())
        litter(folder)
    with store.workspace("training", {}) as folder:
        assert sorted(path.name for path in folder.iterdir()) == before
    litter(folder)
    folder.with_name(folder.name + HELD).write_text("7 elsewhere - -")
    store.gc(lambda: {folder.parent.name})
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, "manifest.json"}
    assert sorted(path.name for path in folder.iterdir()) == before
    assert read_weights(folder / "step-1")[1] == {"step": 1}


def test_what_is_not_the_stores_is_left_alone(store):
    made = store.get_or_build("images", {}, writes())
    (made.path.parent / "notes.txt").write_text("a user's")
    assert [record.key for record in store.ls()] == [made.key]
    store.gc(set)
    assert (made.path.parent / "notes.txt").read_text() == "a user's"
