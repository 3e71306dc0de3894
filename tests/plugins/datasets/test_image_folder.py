"""Photos in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import InputError
from pipeline_datasets.image_folder import ImageFolder
from tests.helpers.pictures import digest, save


def test_classes_are_the_first_folders_in_order_of_names(tmp_path: Path) -> None:
    for name in ("tulip/b.png", "rose/deep/x.png", "rose/a.png", ".hidden.png", ".git/c.png"):
        save(tmp_path / name)
    source = ImageFolder(root=tmp_path)()
    names = [source.image(i).relative_to(tmp_path).as_posix() for i in range(len(source))]
    assert names == ["rose/a.png", "rose/deep/x.png", "tulip/b.png"]
    assert source.class_names == ["rose", "tulip"]
    assert source.labels == [0, 0, 1]


def test_without_folders_there_are_no_labels(tmp_path: Path) -> None:
    save(tmp_path / "b.png")
    save(tmp_path / "a.png")
    source = ImageFolder(root=tmp_path)()
    assert source.labels == [None, None]
    assert source.class_names == []
    assert [source.image(i).name for i in range(2)] == ["a.png", "b.png"]


def test_a_mix_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "rose/a.png")
    save(tmp_path / "stray.png")
    with pytest.raises(InputError, match=r"stray\.png"):
        ImageFolder(root=tmp_path)()


def test_missing_and_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        ImageFolder(root=tmp_path / "none")()
    with pytest.raises(InputError, match="no photos"):
        ImageFolder(root=tmp_path)()


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    save(tmp_path / "elsewhere/a.png")
    root = tmp_path / "root"
    root.mkdir()
    (root / "rose").symlink_to(tmp_path / "elsewhere")
    assert len(ImageFolder(root=root)()) == 1
    (tmp_path / "elsewhere/loop").symlink_to(root)
    with pytest.raises(InputError, match="loop"):
        ImageFolder(root=root)()


def test_moving_keeps_the_fingerprint_and_relabelling_does_not(tmp_path: Path) -> None:
    save(tmp_path / "one/rose/a.png")
    save(tmp_path / "one/tulip/b.png", (9, 9))
    before = ImageFolder(root=tmp_path / "one")().fingerprint(digest)
    (tmp_path / "one").rename(tmp_path / "two")
    assert ImageFolder(root=tmp_path / "two")().fingerprint(digest) == before
    (tmp_path / "two/tulip").rename(tmp_path / "two/violet")
    assert ImageFolder(root=tmp_path / "two")().fingerprint(digest) != before


def test_what_is_no_photo_is_passed_over_and_told(tmp_path: Path) -> None:
    save(tmp_path / "rose/a.png")
    for junk in ("Thumbs.db", "rose/desktop.ini", "rose/a.xmp", "README.TXT", "rose/meta.json"):
        (tmp_path / junk).write_text("no photo")
    save(tmp_path / "__MACOSX/rose/._a.png")
    (tmp_path / ".DS_Store").touch()
    source = ImageFolder(root=tmp_path)()
    assert [path.name for path in source.paths] == ["a.png"]
    (remark,) = source.remarks
    assert remark == (
        f"{tmp_path}: passed over what is no photo: .DS_Store, README.TXT, Thumbs.db, __MACOSX, "
        "rose/a.xmp, … (7 in all)"
    )


def test_what_is_neither_photo_nor_junk_stays_to_be_told(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "b.psd").write_text("no photo")
    assert [path.name for path in ImageFolder(root=tmp_path)().paths] == ["a.png", "b.psd"]


class TestParts:
    def test_their_split_is_taken_and_told(self, tmp_path: Path) -> None:
        for name in ("Train/rose/a.png", "Train/tulip/b.png", "val/rose/c.png", "test/tulip/d.png"):
            save(tmp_path / name)
        source = ImageFolder(root=tmp_path)()
        assert source.class_names == ["rose", "tulip"]
        assert source.labels == [0, 1, 1, 0]
        assert source.parts == ["Train", "Train", "test", "val"]
        assert source.held_out == [False, False, True, True]
        (remark,) = source.remarks
        assert "2 in Train/ to train with, 1 in test/ and 1 in val/ to validate with" in remark

    def test_without_class_folders_there_are_no_labels(self, tmp_path: Path) -> None:
        for name in ("training/a.png", "valid/b.png"):
            save(tmp_path / name)
        source = ImageFolder(root=tmp_path)()
        assert (source.labels, source.held_out) == ([None, None], [False, True])

    @pytest.mark.parametrize("names", [["train", "rose"], ["train"], ["val", "test"]])
    def test_other_folders_are_classes(self, tmp_path: Path, names: list[str]) -> None:
        for name in names:
            save(tmp_path / name / "x/a.png")
        source = ImageFolder(root=tmp_path)()
        assert (source.class_names, source.held_out) == (sorted(names), None)

    def test_none_makes_them_classes(self, tmp_path: Path) -> None:
        for name in ("train/a.png", "test/b.png"):
            save(tmp_path / name)
        source = ImageFolder(root=tmp_path, parts="none")()
        assert (source.class_names, source.held_out) == (["test", "train"], None)

    def test_a_class_folder_without_a_photo_is_named(self, tmp_path: Path) -> None:
        for name in ("train/rose/a.png", "val/rose/b.png"):
            save(tmp_path / name)
        (tmp_path / "val/tulip").mkdir()
        with pytest.raises(InputError, match="no photos are in the class folders tulip"):
            ImageFolder(root=tmp_path)()


class TestLabels:
    def test_by_prefix(self, tmp_path: Path) -> None:
        for name in ("rose_1.png", "rose-02.png", "sun flower (3).png", "deep/rose4.png"):
            save(tmp_path / name)
        source = ImageFolder(root=tmp_path, labels="prefix")()
        assert source.class_names == ["rose", "sun flower"]
        assert source.labels == [0, 0, 0, 1]

    def test_a_name_without_a_number_is_named(self, tmp_path: Path) -> None:
        for name in ("rose_1.png", "rose.png", "7.png"):
            save(tmp_path / name)
        with pytest.raises(InputError, match=r"are not: 7\.png, rose\.png; rename them"):
            ImageFolder(root=tmp_path, labels="prefix")()

    def test_by_table(self, tmp_path: Path) -> None:
        for name in ("a.png", "sub/b.png", "c.png"):
            save(tmp_path / name)
        table = "\ufefffile,photographer,label\na.png,me,tulip\nsub/b.png,you,rose\nc.png,me,\n"
        (tmp_path / "labels.csv").write_text(table)
        source = ImageFolder(root=tmp_path, labels="labels.csv")()
        assert [path.name for path in source.paths] == ["a.png", "c.png", "b.png"]
        assert source.class_names == ["rose", "tulip"]
        assert source.labels == [1, None, 0]

    @pytest.mark.parametrize(
        ("table", "words"),
        [
            ("name,label\na.png,x\n", "first line should name the columns file and label"),
            ("", "first line should name the columns file and label"),
            ("file,label\na.png,x\n", "has no line for b.png"),
            ("file,label\na.png,x\na.png,y\nb.png,x\n", "names files twice: a.png"),
            ("file,label\na.png,x\nb.png,x\nc.png,x\n", "are not photos below .*: c.png"),
            (None, "No such file or directory; dataset.labels names a CSV file below root"),
        ],
    )
    def test_a_table_that_does_not_fit_is_told(
        self, tmp_path: Path, table: str | None, words: str
    ) -> None:
        save(tmp_path / "a.png")
        save(tmp_path / "b.png")
        if table is not None:
            (tmp_path / "labels.csv").write_text(table)
        with pytest.raises(InputError, match=rf"labels\.csv: .*{words}"):
            ImageFolder(root=tmp_path, labels="labels.csv")()

    def test_other_labels_are_other_content(self, tmp_path: Path) -> None:
        save(tmp_path / "a.png")
        (tmp_path / "labels.csv").write_text("file,label\na.png,x\n")
        before = ImageFolder(root=tmp_path, labels="labels.csv")().fingerprint(digest)
        (tmp_path / "labels.csv").write_text("file,label\na.png,y\n")
        assert ImageFolder(root=tmp_path, labels="labels.csv")().fingerprint(digest) != before
