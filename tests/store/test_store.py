import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import pipeline.store.locks
from pipeline.errors import Failed, InputError
from pipeline.store.manifest import key_of, read_manifest, write_manifest
from pipeline.store.store import Store


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
        assert read_manifest(folder.parent)["why"] == "first of its kind"
    with Store(store.root).workspace("training", {"lr": 1}) as again:
        assert again.parent == folder.parent
        assert (again / "step_1").read_text() == "1"
    assert store.find("training", {"lr": 1}) is None
    assert store.explain("training", {"lr": 1}) == ""
    with store.workspace("training", {"lr": 2}) as other:
        assert read_manifest(other.parent)["why"] == "lr changed: 1 -> 2"
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
    with store.workspace("training", {"lr": 1}) as turn:
        (turn / "big").write_bytes(b"0" * 1000)
        folder = turn.parent
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
