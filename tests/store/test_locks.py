"""Locks hold between processes and threads, and between machines."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.errors import Failed, InputError
from pipeline.store import locks
from pipeline.store.locks import HELD
from pipeline.store.store import Store


def silent(holder: str) -> None:
    pass


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
    assert re.fullmatch(rf"process {os.getpid()} on {name}", holder)


def test_gc_is_alone_or_refused(tmp_path):
    first, second = Store(tmp_path / "store"), Store(tmp_path / "store")
    with pytest.raises(InputError, match="another run is using this store"):
        second.gc(set)
    del first
    assert second.gc(set) == []
    del second
    assert not list((tmp_path / "store").glob("*.held"))


def holder(**changes):
    """The text in a lock's file of this process, or of one that differs in these words."""
    words = ["host", "machine", "boot", "space", "number", "began", "token"]
    mine = [*locks._me().split(), "token"]
    told = (changes.get(word, own) for word, own in zip(words, mine, strict=True))
    return locks._with_sum(" ".join(told))


@pytest.fixture
def ended():
    """The number of a process that has ended; its parent, this one, has not asked for its end."""
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    process.stdout.read()
    while locks.began(process.pid) != "dead":
        time.sleep(0.01)
    yield str(process.pid)
    process.wait()


def test_a_dead_process_holds_no_lock(tmp_path, ended):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = {
        "gone": holder(number=str(gone.pid)),
        "not yet waited for": holder(number=ended),
        "its number is another's by now": holder(number=str(os.getppid()), began="1"),
        "its number is ours by now": holder(),
        "an earlier boot": holder(boot="earlier"),
        "an earlier boot, in a container": holder(boot="earlier", space="pid:[1]", number="1"),
    }
    file, store = tmp_path / "a.lock.held", tmp_path / "store"
    started = time.monotonic()
    for why, text in dead.items():
        file.write_text(text)
        with locks.locked(tmp_path / "a.lock", silent):
            assert file.read_text().startswith(locks._me()), why
        assert not file.exists()
        Store(store)
        for name in ("in-use.alone.held", "in-use.0123.held"):
            (store / name).write_text(text)
        assert Store(store).gc(set) == []
    assert time.monotonic() - started < 10, "none was waited for"


@pytest.mark.parametrize("text", ["", "\0\0\0", "elsewh"])
def test_a_lock_of_which_a_loss_of_power_left_the_name_is_not_waited_for(tmp_path, text):
    (tmp_path / "a.lock.held").write_text(text)
    started = time.monotonic()
    with locks.locked(tmp_path / "a.lock", silent):
        assert time.monotonic() - started < 10


def test_a_living_process_of_this_machine_keeps_its_lock_untouched(tmp_path, monkeypatch):
    """One that is suspended is not taken for dead, however long."""
    for name in ("SILENT", "WRITING"):
        monkeypatch.setattr(locks, name, 0)
    parent = str(os.getppid())
    file = tmp_path / "a.lock.held"
    file.write_text(holder(number=parent, began=locks.began(int(parent))))
    os.utime(file, (0, 0))
    assert not locks._Watch(file).is_free()
    assert locks._may_live(file)
    assert locks.is_at_work(file)


def test_a_lock_from_elsewhere_counts_as_long_as_it_is_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "SILENT", 0.3)
    monkeypatch.setattr(locks, "POLL", 0.01)
    file = tmp_path / "a.lock.held"
    file.write_text(holder(host="elsewhere"))
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


def test_the_holder_touches_its_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.01)
    with locks.locked(tmp_path / "a.lock", silent):
        file = tmp_path / "a.lock.held"
        os.utime(file, (0, 0))
        end = time.monotonic() + 30
        while file.stat().st_mtime == 0:
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.mark.parametrize("word", ["host", "machine", "space"])
def test_a_process_of_another_machine_is_not_looked_for_here(word):
    assert locks._lives_here(holder(**{word: "other"}, number="1")) is None
    assert locks._lives_here(holder(**{word: "other"})) is None


def test_a_full_disk_keeps_nobody_from_cleaning_up(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    store.get_or_build("images", {}, lambda folder: (folder / "a").write_text("a"))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)  # the name is made, its bytes find no room
    assert len(store.gc(set)) == 1
    create = os.open
    monkeypatch.setattr(os, "open", lambda file, *_: full() if HELD in str(file) else create(file))
    assert store.gc(set) == []
    del store
    assert Store(tmp_path / "store").gc(set) == []


CROWD = """
import fcntl, os, signal, sys
from contextlib import contextmanager
from pathlib import Path
from pipeline.store import locks
how = sys.argv[2]
if how.isdecimal():  # the system's locks are not to be had, or lock nothing
    def flock(*_):
        if int(how):
            raise OSError(int(how), os.strerror(int(how)))
    fcntl.flock = fcntl.lockf = flock
if how == "none":  # ours lock nothing
    @contextmanager
    def claimed(*_):
        yield
    locks._claimed = claimed
from pipeline.store.store import Store
dies = sys.argv[3]
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def build(folder):
    (folder / "data").write_text("hello")
    if dies == "building":
        die()
store = Store(Path(sys.argv[1]))
data = store.get_or_build("images", {"size": 1}, build).path / "data"
assert data.read_text() == "hello"
with store.workspace("training", {}) as folder:
    file = folder / "history"
    lines = file.read_text() if file.exists() else ""
    if dies == "training":
        file.write_text("one\\n" * 5)
        die()
    for _ in range(20):  # a second writer would add to these lines, or have them vanish
        lines += "one\\n"
        file.write_text(lines)
        assert file.read_text() == lines
"""


@pytest.mark.parametrize("how", ["0", str(errno.ENOLCK), "none"])
def test_a_crowd_on_one_store(tmp_path, how):
    command = [sys.executable, "-c", CROWD, str(tmp_path / "store"), how]
    for dies in ("building", "training"):
        assert subprocess.run([*command, dies]).returncode == -signal.SIGKILL
    crowd = [subprocess.Popen([*command, ""], stderr=subprocess.PIPE, text=True) for _ in range(6)]
    errors = [process.communicate(timeout=60)[1] for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 6, errors
    store = Store(tmp_path / "store")
    assert store.verify() == {}
    with store.workspace("training", {}) as folder:
        lines = (folder / "history").read_text().splitlines()
        assert set(lines) == {"one"}
        assert len(lines) % 20 in (0, 5)  # whole turns of one after the other, or the killed one's
        if how != "none":
            assert len(lines) == 125
        assert [path.name for path in folder.parent.glob("turn-*/")] == [folder.name]
    states = sorted(record.state for record in store.ls())
    assert states == ["artifact", "unfinished", "workspace"]
    del store
    assert len(Store(tmp_path / "store").gc(set)) == 3
    assert Path(tmp_path / "store/locks").is_dir()


def test_what_gc_takes_from_under_others_is_read_to_the_end_or_told(tmp_path, monkeypatch):
    """As where a machine was cut off for minutes, so that its mark counts no longer."""
    monkeypatch.setattr(locks, "_may_live", lambda mark: False)
    store = Store(tmp_path / "store")

    def build(folder):
        (folder / "data").write_text("hello")

    def build_beside_gc(folder):
        build(folder)
        assert len(Store(store.root).gc(set)) == 1

    with (store.get_or_build("images", {}, build).path / "data").open() as file:
        assert len(Store(store.root).gc(set)) == 1
        assert file.read() == "hello"
    with pytest.raises(Failed, match="somebody removed it while it was being made"):
        store.get_or_build("images", {}, build_beside_gc)
    made = store.get_or_build("images", {}, build)
    assert not made.reused
    Store(store.root).gc(set)
    with pytest.raises(InputError, match="is not there; run the recipe again"):
        store.open("images", made.key)
