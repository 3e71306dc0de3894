"""Oxford Flowers 102 from a server that has a tiny one, and from one that lies."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import InputError
from pipeline_datasets import flowers102
from pipeline_datasets.flowers102 import ARCHIVE, LABELS, PARTS, SHA256, SIZE, Flowers102
from tests.helpers.server import LOGIN, Answer, Server

PAGE = Answer(LOGIN, kind="text/html")


@pytest.fixture
def published(
    flowers_tree: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> dict[str, bytes]:
    """The three files of the tiny tree, with their pins, given by the server under their names."""
    with tarfile.open(tmp_path / ARCHIVE, "w:gz") as tar:
        tar.add(flowers_tree / "flowers-102/jpg", "jpg")
    files = {ARCHIVE: (tmp_path / ARCHIVE).read_bytes()}
    files |= {name: (flowers_tree / "flowers-102" / name).read_bytes() for name in (LABELS, PARTS)}
    for name, content in files.items():
        monkeypatch.setitem(SIZE, name, len(content))
        monkeypatch.setitem(SHA256, name, hashlib.sha256(content).hexdigest())
        server.give(name, content)
    monkeypatch.setattr(flowers102, "URL", server.url)
    return files


@pytest.fixture
def content(flowers_tree: Path, published: dict[str, bytes]) -> Callable[[Path], str]:
    """The fingerprint of the flowers under a root."""

    def fingerprint(root: Path) -> str:
        source = Flowers102(root=root, download=False)()
        return source.fingerprint(lambda path: hashlib.sha256(path.read_bytes()).hexdigest())

    return fingerprint


@pytest.mark.parametrize("wrong", [PAGE, Answer(b"half", 1000), Answer(b"x" * 400)])
def test_everything_is_fetched_though_each_first_answer_is_wrong(
    wrong: Answer,
    published: dict[str, bytes],
    content: Callable[[Path], str],
    server: Server,
    flowers_tree: Path,
    tmp_path: Path,
) -> None:
    for name, right in published.items():
        server.give(name, wrong, right)
    Flowers102(root=tmp_path / "new")()
    folder = tmp_path / "new/flowers-102"
    assert sorted(path.name for path in folder.iterdir()) == [ARCHIVE, LABELS, "jpg", PARTS]
    assert content(tmp_path / "new") == content(flowers_tree)
    assert sorted(server.asked) == sorted([*published] * 2)


@pytest.mark.parametrize("name", [LABELS, PARTS])
def test_a_wrong_mat_that_was_left_here_is_set_aside_for_the_right_one(
    name: str,
    published: dict[str, bytes],
    server: Server,
    flowers_tree: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = flowers_tree / "flowers-102"
    (folder / name).write_bytes(LOGIN)
    assert len(Flowers102(root=flowers_tree)()) == 12
    assert server.asked == [name]
    assert (folder / name).read_bytes() == published[name]
    assert (folder / f"{name}.wrong").read_bytes() == LOGIN
    assert f"{name}.wrong" in capsys.readouterr().err.replace("\n", "")


def test_a_cut_archive_that_was_left_here_is_set_aside_for_the_right_one(
    published: dict[str, bytes], content: Callable[[Path], str], flowers_tree: Path
) -> None:
    folder, before = flowers_tree / "flowers-102", content(flowers_tree)
    (folder / "jpg").rename(flowers_tree / "old")
    (folder / ARCHIVE).write_bytes(published[ARCHIVE][:500])
    Flowers102(root=flowers_tree)()
    assert content(flowers_tree) == before
    assert (folder / f"{ARCHIVE}.wrong").read_bytes() == published[ARCHIVE][:500]


def test_what_is_there_is_read_without_the_server_where_it_is_not_to_be_verified(
    published: dict[str, bytes], server: Server, flowers_tree: Path
) -> None:
    labels = flowers_tree / "flowers-102" / LABELS
    labels.write_bytes(b"X" + labels.read_bytes()[1:])  # its first line is a comment
    assert len(Flowers102(root=flowers_tree, verify=False)()) == 12
    assert not server.asked
    with pytest.raises(InputError, match="has another SHA-256"):
        Flowers102(root=flowers_tree, download=False)()
    assert not server.asked


def test_a_log_in_page_in_place_of_labels_is_one_line_and_not_kept(
    published: dict[str, bytes], server: Server, flowers_tree: Path
) -> None:
    folder = flowers_tree / "flowers-102"
    (folder / LABELS).unlink()
    server.give(LABELS, PAGE)
    with pytest.raises(InputError) as caught:
        Flowers102(root=flowers_tree)()
    for part in (str(folder), server.url + LABELS, "an HTML page came", "log in", "dataset.root"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in folder.iterdir()) == ["jpg", PARTS]
    server.give(LABELS, published[LABELS])
    assert len(Flowers102(root=flowers_tree)()) == 12


def test_the_pins_are_those_of_the_real_files(real_flowers: Path) -> None:
    for name in (LABELS, PARTS):
        real = (real_flowers / "flowers-102" / name).read_bytes()
        assert (len(real), hashlib.sha256(real).hexdigest()) == (SIZE[name], SHA256[name])
