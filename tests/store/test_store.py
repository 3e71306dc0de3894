import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import pipeline.store.locks
from pipeline.errors import Failed, InputError
from pipeline.store.checked import read_json, write_json, write_lines
from pipeline.store.manifest import key_of, read_manifest, write_manifest
from pipeline.store.store import Store
from pipeline.store.weights import read_weights, write_weights


def writes(text="hello", name="data.txt"):
    def build(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / name).write_text(text)
        (folder / "inner" / "more.bin").write_bytes(b"\0" * 10)

    return build


def never(folder: Path) -> None:
    raise AssertionError("built again")


def names(store):
    return [path.name for path in (store.root / "artifacts").rglob("*")]


# --- building and reusing


def test_built_once_then_reused(store):
    first = store.get_or_build("images", {"size": 1}, writes())
    assert (first.reused, first.why) == (False, "first of its kind")
    assert (first.path / "data.txt").read_text() == "hello"
    for again in (store, Store(store.root)):
        second = again.get_or_build("images", {"size": 1}, never)
        assert second.reused
        assert second.why == ""
        assert (second.path, second.key) == (first.path, first.key)
    assert store.find("images", {"size": 1}) == second
    assert store.open("images", first.key) == second
    assert store.find("images", {"size": 2}) is None
    assert store.find("features", {"size": 1}) is None


def test_manifest_says_what_it_is(store):
    made = store.get_or_build("images", {"size": 1}, writes())
    content = json.loads((made.path / "manifest.json").read_text())
    assert content.pop("digest")
    assert content == made.manifest
    assert content["ingredients"] == {"size": 1}
    expected = {"size": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}
    assert content["files"]["data.txt"] == expected
    assert set(content["files"]) == {"data.txt", "inner/more.bin"}
    assert {"python", "torch", "diffusion-pipeline"} == set(content["versions"])
    assert made.size == 15 + (made.path / "manifest.json").stat().st_size


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("file", "harm", "why"),
    [
        ("data.txt", flip, "data.txt was damaged: its digest differs"),
        ("data.txt", shorten, "data.txt was damaged: it has 4 bytes instead of 5"),
        ("inner/more.bin", Path.unlink, "inner/more.bin was damaged: it is missing"),
        ("manifest.json", shorten, "manifest.json was damaged"),
        ("manifest.json", Path.unlink, "manifest.json was damaged"),
    ],
)
def test_damaged_is_noticed_told_and_rebuilt(store, caplog, file, harm, why):
    made = store.get_or_build("images", {"size": 1}, writes())
    harm(made.path / file)
    fresh = Store(store.root)
    assert fresh.verify() == {f"images/{made.key}": why}
    assert fresh.find("images", {"size": 1}) is None
    assert why in caplog.text
    with pytest.raises(InputError, match=why):
        fresh.open("images", made.key)
    rebuilt = fresh.get_or_build("images", {"size": 1}, writes())
    assert (rebuilt.reused, rebuilt.why) == (False, why)
    assert (rebuilt.path / file).exists()
    assert fresh.verify() == {}
    assert Store(store.root).get_or_build("images", {"size": 1}, never).reused


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_interrupted_build_leaves_nothing(store, error):
    def build(folder):
        writes()(folder)
        raise error

    with pytest.raises(error):
        store.get_or_build("images", {"size": 1}, build)
    assert names(store) == ["images"]
    assert not store.get_or_build("images", {"size": 1}, writes()).reused


def test_other_builder_that_was_first_wins(store):
    """As if locks did not work: both end with one sound artifact."""

    def build(folder):
        other = folder.parent / key_of("images", {"size": 1})
        other.mkdir()
        (other / "data.txt").write_text("first")
        files = [other / "data.txt"]
        write_manifest(other, "images", {"size": 1}, "", files)
        writes("second")(folder)

    made = store.get_or_build("images", {"size": 1}, build)
    assert (made.path / "data.txt").read_text() == "first"
    assert names(store).count("data.txt") == 1


# --- several processes

BUILDER = """
import os, sys, time
from pathlib import Path
from pipeline.store.store import Store
def build(folder):
    (folder / "data.txt").write_text("hello")
    with open(sys.argv[2], "a") as log:
        log.write(f"{os.getpid()}\\n")
    time.sleep(float(sys.argv[3]))
print(Store(Path(sys.argv[1])).get_or_build("images", {"size": 1}, build).reused)
"""


def builder(store, log, seconds):
    command = [sys.executable, "-c", BUILDER, str(store.root), str(log), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_processes_build_once_and_the_other_says_that_it_waits(store, tmp_path):
    log = tmp_path / "log"
    processes = [builder(store, log, 3) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert sorted(out for out, _ in outputs) == ["False\n", "True\n"], outputs
    assert len(log.read_text().splitlines()) == 1
    waited = [err for out, err in outputs if out == "True\n"]
    [line] = waited
    assert re.fullmatch(r"waiting for process \d+ on \S+, which makes the same images\n", line)


def test_killed_builder_leaves_nothing_that_counts(store, tmp_path):
    log = tmp_path / "log"
    process = builder(store, log, 60)
    wait_for(log.exists)
    with pytest.raises(InputError, match="another run is using this store"):
        store.gc(set)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert [record.state for record in store.ls()] == ["unfinished"]
    assert store.find("images", {"size": 1}) is None
    assert store.get_or_build("images", {"size": 1}, writes()).why == "first of its kind"
    gone = store.gc(lambda: {key_of("images", {"size": 1})})
    assert [(record.state, record.size) for record in gone] == [("unfinished", 5)]
    assert [record.state for record in store.ls()] == ["artifact"]


# --- workspaces


def test_workspace_grows_and_is_never_an_artifact(store):
    with store.workspace("training", {"lr": 1}) as folder:
        (folder / "step_1").write_text("1")
        assert read_manifest(folder)["why"] == "first of its kind"
    with Store(store.root).workspace("training", {"lr": 1}) as again:
        assert again == folder
        assert (again / "step_1").read_text() == "1"
    assert store.find("training", {"lr": 1}) is None
    assert store.explain("training", {"lr": 1}) == ""
    with store.workspace("training", {"lr": 2}) as other:
        assert read_manifest(other)["why"] == "lr changed: 1 -> 2"
    assert [(r.kind, r.state, r.complete) for r in store.ls()] == [
        ("training", "workspace", False)
    ] * 2


def test_workspace_belongs_to_one_at_a_time(store, monkeypatch, caplog):
    monkeypatch.setattr(pipeline.store.locks, "PATIENCE", 0.1)
    order = []

    def second():
        with Store(store.root).workspace("training", {}):
            order.append("second")

    with store.workspace("training", {}):
        thread = threading.Thread(target=second)
        thread.start()
        wait_for(lambda: "waiting" in caplog.text)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


# --- ls and gc


def test_gc_removes_what_nothing_points_to(store):
    kept = store.get_or_build("images", {"a": 1}, writes())
    lost = store.get_or_build("images", {"a": 2}, writes())
    with store.workspace("training", {"lr": 1}) as folder:
        (folder / "big").write_bytes(b"0" * 1000)
    planned = Store(store.root).gc(lambda: {kept.key}, dry_run=True)
    assert {record.path for record in planned} == {lost.path, folder}
    assert all(path.exists() for path in (lost.path, folder))
    assert sum(record.size for record in planned) > 1000
    assert store.gc(lambda: {kept.key}) == planned
    assert [record.path for record in store.ls()] == [kept.path]
    assert store.find("images", {"a": 1})
    assert not store.get_or_build("images", {"a": 2}, writes()).reused


def test_records_say_when(store):
    store.get_or_build("images", {"a": 1}, writes())
    record = store.ls()[0]
    os.utime(record.path / "manifest.json", (0, 0))
    assert store.ls()[0].used == "1970-01-01T00:00:00+00:00"
    store.find("images", {"a": 1})
    assert store.ls()[0].used >= record.used
    assert record.created[:16] == record.used[:16]


# --- what the user can mend


def test_a_store_that_is_a_file_is_told(tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(InputError, match=r"store: the store cannot be used: .*--store"):
        Store(tmp_path / "store")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/x/y.h5"),
        OSError("Can't write (errno = 28, error message = 'No space left on device')"),
        RuntimeError("unable to close file (error message = 'No space left on device')"),
    ],
)
def test_a_full_disk_is_told(store, error):
    def build(folder):
        raise error

    with pytest.raises(Failed, match="the disk is full"):
        store.get_or_build("images", {}, build)
    assert names(store) == ["images"]


def test_errors_of_other_places_are_not_the_stores(store):
    def build(folder):
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/image.jpg")

    with pytest.raises(PermissionError):
        store.get_or_build("images", {}, build)


def test_an_unwritable_store_is_told(store, monkeypatch):
    def mkdir(path, *args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(Failed, match="the store cannot be used"):
        store.get_or_build("images", {}, writes())


def test_importing_the_store_imports_no_torch():
    code = (
        "import sys, pipeline.store.store, pipeline.plugin.identity; print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "False\n"


@pytest.mark.parametrize("missing", [(), ("in-use", "needs", "locks", "workspaces")])
def test_a_store_that_can_only_be_read_serves_what_only_reads(
    store, tmp_path, read_only, caplog, missing
):
    made = store.get_or_build("images", {"size": 1}, writes())
    for name in missing:
        path = store.root / name
        path.unlink() if path.is_file() else shutil.rmtree(path)
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
    with store.workspace("training", {}) as folder:
        pass
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
    for path in (folder, made.path):
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
    name = f"training/{folder.name}"
    assert store.verify() == {}
    for file in ("step-1.json", "step-1.safetensors", "history.jsonl", "manifest.json"):
        whole = (folder / file).read_bytes()
        place = len(whole) // 3
        (folder / file).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        [(where, _)] = store.verify().items()
        assert where.startswith(name)
        (folder / file).write_bytes(whole)
    (folder / "step-1.safetensors").unlink()
    assert list(store.verify()) == [f"{name}/step-1.json"]


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
    with store.workspace("training", {}):
        assert sorted(path.name for path in folder.iterdir()) == before
    litter(folder)
    store.gc(lambda: {folder.name})
    assert sorted(path.name for path in folder.iterdir()) == before
    assert read_weights(folder / "step-1")[1] == {"step": 1}


def test_what_is_not_the_stores_is_left_alone(store):
    made = store.get_or_build("images", {}, writes())
    (made.path.parent / "notes.txt").write_text("a user's")
    assert [record.key for record in store.ls()] == [made.key]
    store.gc(set)
    assert (made.path.parent / "notes.txt").read_text() == "a user's"
