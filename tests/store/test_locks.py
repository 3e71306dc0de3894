"""Locks hold between processes and threads, with and without flock."""

import errno
import fcntl
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.store import locks
from pipeline.store.store import Store

NO_LOCKS = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP]


@pytest.fixture(params=[None, *NO_LOCKS])
def flock(request, monkeypatch):
    """The system's flock, or one that a file system without locks has."""

    def refused(descriptor, kind):
        raise OSError(request.param, os.strerror(request.param))

    if request.param:
        monkeypatch.setattr(fcntl, "flock", refused)


def silent(holder: str) -> None:
    pass


@pytest.mark.usefixtures("flock")
def test_one_thread_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "POLL", 0.001)
    inside, most = [], []

    def work():
        with locks.locked(tmp_path / "a.lock", silent):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.002)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1] * 8


@pytest.mark.usefixtures("flock")
def test_who_waits_says_for_whom(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    told, inside = [], []

    def second():
        with locks.locked(tmp_path / "a.lock", told.append):
            inside.append(1)

    with locks.locked(tmp_path / "a.lock", silent):
        thread = threading.Thread(target=second)
        thread.start()
        while not told:
            time.sleep(0.01)
        assert not inside
    thread.join(30)
    assert inside
    [holder] = told
    name = re.escape(os.uname().nodename)
    assert re.fullmatch(rf"process {os.getpid()} on {name}|another process", holder)


@pytest.mark.usefixtures("flock")
def test_gc_is_alone_or_refused(tmp_path):
    first, second = Store(tmp_path / "store"), Store(tmp_path / "store")
    with pytest.raises(InputError, match="another run is using this store"):
        second.gc(set)
    del first
    assert second.gc(set) == []
    del second
    assert not list((tmp_path / "store").glob("*.held"))


@pytest.fixture
def dead(tmp_path):
    """The text in a lock's file of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    number, *rest = locks._me().split()
    return " ".join([str(process.pid), *rest, "token"]), number


@pytest.mark.parametrize("flock", [errno.ENOLCK], indirect=True)
@pytest.mark.usefixtures("flock")
def test_a_dead_process_holds_no_lock(tmp_path, dead, monkeypatch):
    file = tmp_path / "a.lock.held"
    file.write_text(dead[0])
    with locks.locked(tmp_path / "a.lock", silent):
        assert file.read_text().startswith(dead[1])
    assert not file.exists()
    store = tmp_path / "store"
    Store(store)
    for name in ("in-use.alone.held", "in-use.0123.held"):
        (store / name).write_text(dead[0])
    assert Store(store).gc(set) == []


@pytest.mark.parametrize("flock", [errno.ENOLCK], indirect=True)
@pytest.mark.usefixtures("flock")
def test_a_lock_from_elsewhere_counts_as_long_as_it_is_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "SILENT", 0.3)
    monkeypatch.setattr(locks, "POLL", 0.01)
    file = tmp_path / "a.lock.held"
    file.write_text("1 elsewhere - token")
    started = time.monotonic()

    def beat():
        for _ in range(10):
            os.utime(file)
            time.sleep(0.05)

    thread = threading.Thread(target=beat)
    thread.start()
    with locks.locked(tmp_path / "a.lock", silent):
        assert time.monotonic() - started > 0.6
    thread.join()


@pytest.mark.parametrize("flock", [errno.ENOLCK], indirect=True)
@pytest.mark.usefixtures("flock")
def test_the_holder_touches_its_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.01)
    with locks.locked(tmp_path / "a.lock", silent):
        file = tmp_path / "a.lock.held"
        os.utime(file, (0, 0))
        end = time.monotonic() + 30
        while file.stat().st_mtime == 0:
            assert time.monotonic() < end
            time.sleep(0.01)


CROWD = """
import fcntl, os, sys
from pathlib import Path
if int(sys.argv[2]):
    def refused(*_):
        raise OSError(int(sys.argv[2]), "no locks")
    fcntl.flock = refused
from pipeline.store.store import Store
def build(folder):
    (folder / "data").write_text("hello")
store = Store(Path(sys.argv[1]))
assert store.get_or_build("images", {"size": 1}, build).path.joinpath("data").read_text() == "hello"
with store.workspace("training", {}) as folder:
    file = folder / "history"
    lines = file.read_text() if file.exists() else ""
    file.write_text(lines + "one\\n")
"""


@pytest.mark.parametrize("number", [0, errno.ENOLCK])
def test_a_crowd_on_one_store(tmp_path, number):
    command = [sys.executable, "-c", CROWD, str(tmp_path / "store"), str(number)]
    crowd = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(16)]
    errors = [process.communicate(timeout=120)[1] for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 16, errors
    store = Store(tmp_path / "store")
    assert store.verify() == {}
    with store.workspace("training", {}) as folder:
        assert (folder / "history").read_text() == "one\n" * 16
    states = sorted(record.state for record in store.ls())
    assert states == ["artifact", "workspace"]
    del store
    assert len(Store(tmp_path / "store").gc(set)) == 2
    assert Path(tmp_path / "store/locks").is_dir()
