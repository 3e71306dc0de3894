import errno
import os

import pytest

from pipeline.store.folders import (
    PRIVATE,
    is_leftover,
    remove,
    remove_leftovers,
    replacing,
    write_text,
)
from pipeline.store.store import Store


def test_a_replaced_file_is_the_old_one_until_it_is_whole(tmp_path):
    path = tmp_path / "scores.json"
    write_text(path, "old")
    with replacing(path) as partial:
        assert partial.parent == tmp_path
        partial.write_text("new")
        assert path.read_text() == "old"
        assert list(tmp_path.glob(PRIVATE)) == [partial]
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "scores.json"
    write_text(path, "old")

    def fail():
        with replacing(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "scores.json"
    with replacing(path) as first, replacing(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first", "the one that ended last"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_can_be_removed(tmp_path):
    inner = tmp_path / "validations"
    inner.mkdir()
    write_text(inner / "best.json", "{}")
    for folder in (tmp_path, inner):
        (folder / ".best.json.0123abcd.tmp").write_text("{")
    remove_leftovers(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [inner / "best.json"]


def test_a_workspace_opens_without_what_a_killed_writer_left(tmp_path):
    store = Store(tmp_path / "store")
    with store.workspace("training", {"lr": 1}) as folder:
        write_text(folder / "step-1.json", "{}")
        (folder / ".step-2.json.0123abcd.tmp").write_text("{")
    with store.workspace("training", {"lr": 1}) as again:
        assert [path.name for path in again.iterdir()] == ["step-1.json"]


def test_what_nfs_keeps_because_it_is_open_stays_under_a_private_name(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/data").write_text("open")

    def busy(path):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))

    monkeypatch.setattr("shutil.rmtree", busy)
    remove(tmp_path / "a")
    [left] = tmp_path.iterdir()
    assert is_leftover(left)
