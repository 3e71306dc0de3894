"""``sample --out`` takes nobody's files: what it did not write itself, it does not touch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pipeline import InputError
from pipeline.runs.pictures import WRITTEN, write_pictures

FIVE = {"grid.png": b"grid", **{f"images/{i:05d}.png": bytes([i]) for i in range(5)}}
TWO = {"grid.png": b"other", **{f"images/{i:05d}.png": bytes([9 - i]) for i in range(2)}}


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != WRITTEN]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_smaller_request_takes_the_place_of_a_larger_one(tmp_path: Path) -> None:
    write_pictures(tmp_path / "out", FIVE, "mine")
    (tmp_path / "out/images/house.png").write_bytes(b"house")
    write_pictures(tmp_path / "out", TWO, "mine")
    assert content(tmp_path / "out") == {**TWO, "images/house.png": b"house"}


@pytest.mark.parametrize("name", ["grid.png", "images/00001.png"])
@pytest.mark.parametrize("ours", [True, False])
def test_what_it_did_not_write_is_refused(tmp_path: Path, name: str, ours: bool) -> None:
    """Photos of a dataset are named by five digits too; pictures of ours may be painted over."""
    if ours:
        write_pictures(tmp_path, FIVE, "mine")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"my photo")
    before = content(tmp_path)
    with pytest.raises(InputError, match=rf"{name}: was not written by .* or was changed since"):
        write_pictures(tmp_path, TWO, "mine")
    assert content(tmp_path) == before


def test_a_photo_that_a_smaller_request_would_remove_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path, FIVE, "mine")
    (tmp_path / "images/00004.png").write_bytes(b"my photo")
    with pytest.raises(InputError, match=r"00004\.png: was not written"):
        write_pictures(tmp_path, TWO, "mine")


def test_photos_that_are_in_nobodys_way_stay(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/00007.png").write_bytes(b"my photo")
    write_pictures(tmp_path, TWO, "mine")
    assert content(tmp_path) == {**TWO, "images/00007.png": b"my photo"}


def test_samples_of_another_run_are_not_replaced(tmp_path: Path) -> None:
    write_pictures(tmp_path, FIVE, "mine")
    with pytest.raises(InputError, match="holds samples of mine; choose another folder"):
        write_pictures(tmp_path, TWO, "theirs")
    assert content(tmp_path) == FIVE


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"run": "mine"}', '{"files": 3}', "\0"])
def test_a_damaged_list_is_refused(tmp_path: Path, text: str) -> None:
    write_pictures(tmp_path, FIVE, "mine")
    (tmp_path / WRITTEN).write_text(text)
    with pytest.raises(InputError, match=rf"{WRITTEN}: is damaged"):
        write_pictures(tmp_path, TWO, "mine")
    assert content(tmp_path) == FIVE


def test_a_list_from_a_stranger_removes_nothing_outside(tmp_path: Path) -> None:
    write_pictures(tmp_path / "out", FIVE, "mine")
    (tmp_path / "letter").write_bytes(b"\x01")
    text = (tmp_path / "out" / WRITTEN).read_text()
    (tmp_path / "out" / WRITTEN).write_text(text.replace("images/00001.png", "../letter"))
    with pytest.raises(InputError, match=r"00001\.png: was not written"):
        write_pictures(tmp_path / "out", TWO, "mine")
    (tmp_path / "out/images/00001.png").unlink()
    write_pictures(tmp_path / "out", TWO, "mine")
    assert (tmp_path / "letter").exists()


@pytest.mark.parametrize("place", ["out", "out/images"])
def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(b"mine")
    with pytest.raises(InputError, match=rf"{place}: is not a folder"):
        write_pictures(tmp_path / "out", TWO, "mine")


def test_a_killed_call_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipeline.runs.pictures as module

    write_pictures(tmp_path, FIVE, "mine")
    replacing, calls = module.replacing, iter(range(100))

    def dying(path: Path):  # type: ignore[no-untyped-def]
        if next(calls) == 2:
            raise KeyboardInterrupt
        return replacing(path)

    monkeypatch.setattr(module, "replacing", dying)
    with pytest.raises(KeyboardInterrupt):
        write_pictures(tmp_path, TWO, "mine")
    monkeypatch.undo()
    write_pictures(tmp_path, TWO, "mine")
    assert content(tmp_path) == TWO


def test_what_a_killed_call_left_goes_with_a_later_one(tmp_path: Path) -> None:
    old, new = (tmp_path / f"images/.00000.png.{n}.tmp" for n in ("0123abcd", "4567abcd"))
    others = [tmp_path / ".mine.tmp", tmp_path / "deeper/.grid.png.0123abcd.tmp"]
    for path in (old, new, *others):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        os.utime(path, (0, 0))
    os.utime(new)  # a call that is at work now may be writing it
    write_pictures(tmp_path, {"grid.png": b"a"}, "runs/tiny")
    assert not old.exists()
    assert all(path.exists() for path in (new, *others))


def test_few_pictures_are_in_memory_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture is written before those of the next lot are made, and noted before that."""
    monkeypatch.setattr("pipeline.runs.pictures.AT_ONCE", 2)
    written: list[int] = []

    class Made(Mapping[str, bytes]):
        def __iter__(self) -> Iterator[str]:
            return iter(FIVE)

        def __len__(self) -> int:
            return len(FIVE)

        def __getitem__(self, name: str) -> bytes:
            written.append(len(content(tmp_path)))
            return FIVE[name]

    write_pictures(tmp_path, Made(), "mine")
    assert written == [0, 1, 1, 3, 3, 5]
    assert content(tmp_path) == FIVE
    write_pictures(tmp_path, TWO, "mine")
    assert content(tmp_path) == TWO
