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


def rubbish(database):
    database.write_bytes(b"rubbish!!!" * 500)


def rubbish_at_the_end(database):
    database.write_bytes(database.read_bytes()[:100] + b"rubbish!!!" * 1000)


def locked(database):
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("CREATE TABLE IF NOT EXISTS other (x)")
    holder.execute("BEGIN EXCLUSIVE")
    return holder


def a_folder(database):
    database.unlink(missing_ok=True)
    database.mkdir()


@pytest.mark.parametrize("harm", [rubbish, rubbish_at_the_end, locked, a_folder])
def test_a_memory_that_cannot_be_used_is_told_once_and_photos_are_read(
    store, tmp_path, monkeypatch, caplog, harm
):
    monkeypatch.setattr(fingerprints, "PATIENCE", 0.05)
    files = [tmp_path / f"{i}.jpg" for i in range(3)]
    for i, file in enumerate(files):
        file.write_text(str(i))
    old_enough(files[-1])
    before = [store.digest(file) for file in files]
    store.find("k", {})
    kept = harm(store.root / "digests.sqlite")
    again = Store(store.root)
    assert [again.digest(file) for file in files] == before
    for file in files:
        file.write_text("black")
    old_enough(files[-1])
    assert {again.digest(file) for file in files} == {hashlib.sha256(b"black").hexdigest()}
    again.find("k", {})
    del again
    assert caplog.text.count("digests.sqlite: ") == 1
    assert (store.root / "digests.sqlite").exists(), "nothing of the user's is deleted"
    del kept


def test_a_row_in_which_a_bit_flipped_is_not_believed(store, tmp_path):
    file = tmp_path / "image.jpg"
    file.write_bytes(b"pixels")
    old_enough(file)
    digest = store.digest(file)
    store.find("k", {})
    for column, wrong in (("sha256", digest[::-1]), ("seal", "0"), ("stamp", "x"), ("path", 7)):
        with sqlite3.connect(store.root / "digests.sqlite") as db:
            db.execute(f"UPDATE checked SET {column} = ?", (wrong,))
        assert Store(store.root).digest(file) == digest


def test_names_that_are_not_utf_8_and_inodes_beyond_sqlite_are_remembered(
    store, tmp_path, monkeypatch
):
    file = tmp_path / os.fsdecode(b"ros\xe9.jpg")
    file.write_bytes(b"pixels")
    monkeypatch.setattr(fingerprints, "stamp_of", lambda name: (6, 1, 1, 2**64 - 1))
    digest = store.digest(file)
    store.find("k", {})
    read = hashing(monkeypatch)
    assert Store(store.root).digest(file) == digest
    assert read == []
