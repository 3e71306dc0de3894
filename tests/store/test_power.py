"""Power may be lost at any moment: what is on the disk then is the old or the new, always whole."""

import pytest

from pipeline.store.checked import read_json, read_lines, write_json, write_lines
from pipeline.store.folders import private
from pipeline.store.store import Store
from tests.helpers.power import watched


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.store.locks.WRITING", 0)  # nobody makes a lock at this moment
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


def build(text):
    def fill(folder):
        (folder / "inner").mkdir()
        (folder / "data").write_text(text)
        (folder / "inner/more").write_text(text)

    return fill


def states(disk, into):
    """Each state of the disk as a store, with what was promised."""
    for after, promised in disk.after_every_cut(into):
        yield Store(after / "store"), promised


def test_an_artifact_is_not_there_or_whole(root, tmp_path):
    store = Store(root / "store")
    with watched(root) as disk:
        store.get_or_build("images", {"n": 1}, build("one"))
        disk.promise("one")
    for after, promised in states(disk, tmp_path / "after"):
        artifact = after.find("images", {"n": 1})
        assert artifact or not promised
        assert after.verify() == {}, "what is there under its own name is whole"
        assert not artifact or (artifact.path / "inner/more").read_text() == "one"


@pytest.mark.parametrize("harm", [True, False])
@pytest.mark.parametrize("at_once", [True, False])
def test_an_artifact_that_is_made_anew_is_the_old_or_the_new(
    root, tmp_path, harm, at_once, monkeypatch
):
    """Damaged, or by --fresh; where names cannot be exchanged at once, it may be missing."""
    if not at_once:
        monkeypatch.setattr("pipeline.store.folders._exchanged", lambda *_: False)
    made = Store(root / "store").get_or_build("images", {"n": 1}, build("old"))
    if harm:
        (made.path / "data").write_text("harm")
    store = Store(root / "store", fresh=not harm)
    with watched(root) as disk:
        store.get_or_build("images", {"n": 1}, build("new"))
        disk.promise("new")
    for after, promised in states(disk, tmp_path / "after"):
        artifact = after.find("images", {"n": 1})
        if promised or (at_once and not harm):
            assert artifact
        if artifact:
            assert (artifact.path / "data").read_text() in (
                [promised] if promised else ["old", "new"]
            )


def test_a_workspace_keeps_what_was_promised_of_it(root, tmp_path):
    with watched(root) as disk:
        store = Store(root / "store")
        for step in (1, 2):
            with store.workspace("training", {"lr": 1}) as folder:
                write_json(folder / f"step-{step}.json", {"step": step})
            disk.promise(step)
    del store
    for after, promised in states(disk, tmp_path / "after"):
        with after.workspace("training", {"lr": 1}) as folder:
            found = [read_json(path)["step"] for path in folder.glob("step-*.json")]
        assert max(found, default=0) >= (promised or 0)


def test_what_a_run_needs_is_noted_before_it_is_built(root, tmp_path):
    store = Store(root / "store")
    with watched(root) as disk:
        store.needs.begin(root / "runs/a")
        made = store.get_or_build("images", {"n": 1}, build("one"))
    for after, _ in states(disk, tmp_path / "after"):
        if after.find("images", {"n": 1}):
            assert after.needs.all() == {root / "runs/a": {made.key}}


def test_a_folder_with_a_private_name_first(root, tmp_path):
    with watched(root) as disk:
        with private(root / "below/final") as folder:
            (folder / "data").write_text("x")
        disk.promise("there")
    for after, promised in disk.after_every_cut(tmp_path / "after"):
        names = {path.name for path in after.glob("below/*") if not path.name.startswith(".")}
        assert names == ({"final"} if promised else names & {"final"})
