"""Power may be lost at any moment: what is on the disk then is the old or the new, always whole."""

import pytest

from pipeline.store.checked import read_json, read_lines, write_json, write_lines
from tests.helpers.power import watched


@pytest.fixture
def root(tmp_path):
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


def test_the_helper_finds_what_was_not_synced(root, tmp_path):
    with watched(root) as disk:
        (root / "a.tmp").write_text("new")
        (root / "a.tmp").rename(root / "a")
        disk.promise("a is there")
    found = [
        {path.name: path.read_text() for path in after.iterdir()}
        for after, promised in disk.after_every_cut(tmp_path / "after")
        if promised
    ]
    assert all(state in found for state in ({}, {"a": ""}, {"a": "new"}))


@pytest.mark.parametrize(
    ("write", "read", "old", "new"),
    [
        (write_json, read_json, {"step": 1}, {"step": 2}),
        (write_lines, read_lines, ["1"], ["1", "2"]),
    ],
)
def test_a_text_is_the_old_or_the_new_one(root, tmp_path, write, read, old, new):
    path = root / "text"
    write(path, old)
    with watched(root) as disk:
        write(path, new)
        disk.promise(new)
    for after, promised in disk.after_every_cut(tmp_path / "after"):
        assert read(after / "text") in ([promised] if promised else [old, new])
