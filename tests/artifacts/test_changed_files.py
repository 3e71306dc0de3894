"""Photos that change, appear or go while they are read are never kept under a key of others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import pipeline.artifacts.prepare as module
from pipeline import InputError
from pipeline.artifacts.prepare import prepare_images
from pipeline.artifacts.session import Session
from pipeline.plugin.registry import Registry
from pipeline.store.store import Store
from pipeline_datasets.image_folder import ImageFolder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(4):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(folder / f"{i}.bmp")
    return folder


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(Registry.load(), Store(tmp_path / "store"), "cpu")


def blacken(path: Path) -> None:
    Image.new("RGB", (8, 8)).save(path, format="BMP")


def blacken_and_hide(path: Path) -> None:
    """As ``cp -p`` does: the size and the time of change are those of before."""
    before = path.stat()
    blacken(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def while_decoding(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Let the change happen after the photos were digested, before they are decoded."""
    write = module.write_images

    def write_images(*given: object) -> None:
        change()
        write(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "write_images", write_images)


@pytest.mark.parametrize("change", [blacken, blacken_and_hide])
def test_a_photo_that_changes_is_named_and_nothing_is_kept(
    photos: Path,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
) -> None:
    while_decoding(monkeypatch, lambda: change(photos / "2.bmp"))
    with pytest.raises(InputError, match=r"2\.bmp: changed while being read"):
        prepare_images(ImageFolder(root=photos), (), session)
    assert session.store.ls() == []
    monkeypatch.undo()
    assert not prepare_images(ImageFolder(root=photos), (), session).reused


def test_a_photo_that_becomes_readable_meanwhile_is_named(
    photos: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "3.bmp").rename(photos.parent / "aside")
    (photos / "3.bmp").symlink_to(photos / "late")
    while_decoding(monkeypatch, lambda: blacken(photos / "late"))
    with pytest.raises(InputError, match=r"3\.bmp: changed while being read"):
        prepare_images(ImageFolder(root=photos), (), session)
    assert session.store.ls() == []


def test_a_pipe_among_the_photos_is_told_and_not_waited_for(photos: Path, session: Session) -> None:
    os.mkfifo(photos / "pipe")
    with pytest.raises(InputError, match="pipe: not a file"):
        prepare_images(ImageFolder(root=photos), (), session)


def test_what_cannot_be_read_has_no_content(photos: Path, session: Session) -> None:
    """Whatever the reason, and nothing else has the key of it."""
    (photos / "gone.bmp").symlink_to(photos / "nowhere")
    gone = ImageFolder(root=photos)().fingerprint(session.store.digest)
    (photos / "gone.bmp").unlink()
    os.mkfifo(photos / "gone.bmp")
    assert ImageFolder(root=photos)().fingerprint(session.store.digest) == gone
    (photos / "gone.bmp").unlink()
    (photos / "gone.bmp").write_text("unreadable: gone")
    assert ImageFolder(root=photos)().fingerprint(session.store.digest) != gone
