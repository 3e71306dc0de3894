import hashlib
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.store import fingerprints
from pipeline.store.store import Store


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def old_enough(path):
    wait_for(lambda: time.time_ns() - path.stat().st_ctime_ns > 60_000_000)


def hashing(monkeypatch):
    """Names of the files that are really read."""
    read, really = [], fingerprints.sha256_of

    def sha256_of(path):
        read.append(path.name)
        return really(path)

    monkeypatch.setattr("pipeline.store.fingerprints.sha256_of", sha256_of)
    return read


def test_digest_is_remembered_by_the_next_process(store, tmp_path, monkeypatch):
    file = tmp_path / "image.jpg"
    file.write_bytes(b"pixels")
    old_enough(file)
    read = hashing(monkeypatch)
    expected = hashlib.sha256(b"pixels").hexdigest()
    assert store.digest(file) == store.digest(file) == expected
    store.find("k", {})
    monkeypatch.chdir(tmp_path)
    assert Store(store.root).digest(Path("image.jpg")) == expected
    assert read == ["image.jpg"]


def test_digest_notices_a_change_whose_size_and_mtime_stay(store, tmp_path):
    file = tmp_path / "image.jpg"
    file.write_bytes(b"pixels")
    was = file.stat()
    old_enough(file)
    before = store.digest(file)
    file.write_bytes(b"pixelz")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert store.digest(file) == hashlib.sha256(b"pixelz").hexdigest() != before


def test_digest_of_a_file_that_is_still_changing_is_not_remembered(store, tmp_path, monkeypatch):
    file = tmp_path / "image.jpg"
    file.write_bytes(b"pixels")
    monkeypatch.setattr(time, "time_ns", lambda: file.stat().st_ctime_ns + 1)
    read = hashing(monkeypatch)
    store.digest(file)
    store.digest(file)
    assert read == ["image.jpg"] * 2


def test_digests_are_written_when_the_store_goes(tmp_path, monkeypatch):
    file = tmp_path / "image.jpg"
    file.write_bytes(b"pixels")
    old_enough(file)
    made = Store(tmp_path / "store")
    made.digest(file)
    del made
    read = hashing(monkeypatch)
    Store(tmp_path / "store").digest(file)
    assert read == []


def test_digests_of_many_files_are_quick_and_safe_from_many_threads(store, tmp_path):
    files = [tmp_path / f"{i}.jpg" for i in range(2500)]
    for i, file in enumerate(files):
        file.write_text(str(i))
    old_enough(files[-1])
    stores = [store, Store(store.root)]
    threads = [
        threading.Thread(target=lambda s=s, o=o: [s.digest(f) for f in files[o::2]])
        for s in stores
        for o in (0, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in stores:
        each.find("k", {})
    fresh = Store(store.root)
    start = time.perf_counter()
    digests = [fresh.digest(file) for file in files]
    assert time.perf_counter() - start < 0.2
    assert digests == [hashlib.sha256(str(i).encode()).hexdigest() for i in range(2500)]


def test_file_that_cannot_be_read(store, tmp_path):
    with pytest.raises(InputError, match=r"gone\.jpg: cannot be read: No such file"):
        store.digest(tmp_path / "gone.jpg")


def test_damaged_memory_of_digests(store, tmp_path):
    file = tmp_path / "image.jpg"
    file.write_bytes(b"pixels")
    (store.root / "digests.sqlite").write_bytes(b"nonsense" * 1000)
    with pytest.raises(InputError, match=r"digests\.sqlite.*delete it") as caught:
        store.digest(file)
    assert isinstance(caught.value.__cause__, sqlite3.Error)
