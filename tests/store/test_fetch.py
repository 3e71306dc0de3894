"""Downloads from a server that cuts, lies, stalls or is not there."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from pipeline import InputError, fetch
from pipeline.store import fetch as fetching
from tests.helpers.server import LOGIN, Answer, Server

RIGHT = bytes(range(256)) * 600
"""153,600 bytes."""
PINS = {"size": len(RIGHT), "sha256": hashlib.sha256(RIGHT).hexdigest()}

OTHER = RIGHT[:-1] + b"\0"
WRONG = {
    "cut": (Answer(RIGHT[:10_000], len(RIGHT)), "10,000 of 153,600 bytes came"),
    "empty": (Answer(b""), "0 of 153,600 bytes came"),
    "shorter": (Answer(RIGHT[:-5]), "153,595 of 153,600 bytes came"),
    "longer": (Answer(RIGHT + b"more"), "more than 153,600 bytes came"),
    "other bytes": (Answer(OTHER), hashlib.sha256(OTHER).hexdigest()[:8]),
    "log-in page": (Answer(LOGIN, kind="text/html; charset=utf-8"), "an HTML page came"),
    "long log-in page": (Answer(LOGIN + RIGHT + RIGHT, kind="text/html"), "an HTML page came"),
    "log-in page in disguise": (Answer(LOGIN), "an HTML page came"),
}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_answer_is_thrown_away_and_fetched_again(
    kind: str, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, said = WRONG[kind]
    url = server.give("labels.mat", wrong, RIGHT)
    fetch(url, tmp_path / "deep/labels.mat", **PINS)
    assert (tmp_path / "deep/labels.mat").read_bytes() == RIGHT
    assert names(tmp_path / "deep") == ["labels.mat"]
    assert server.asked == ["labels.mat"] * 2
    told = capsys.readouterr().err.replace("\n", "")
    assert f"{url}: " in told
    assert said in told


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize(
    "there", [None, b"the user's own"], ids=["nothing there", "wrong one there"]
)
def test_an_answer_that_stays_wrong_is_one_line_and_leaves_all_as_it_was(
    kind: str, there: bytes | None, server: Server, tmp_path: Path
) -> None:
    wrong, said = WRONG[kind]
    url, file = server.give("labels.mat", wrong), tmp_path / "labels.mat"
    if there:
        file.write_bytes(there)
    with pytest.raises(InputError) as caught:
        fetch(url, file, **PINS)
    for part in (url, said, "log in", "try again later"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(server.asked) == 2
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([there] if there else [])


def test_the_right_file_is_not_asked_for(server: Server, tmp_path: Path) -> None:
    (tmp_path / "labels.mat").write_bytes(RIGHT)
    fetch(server.give("labels.mat", OTHER), tmp_path / "labels.mat", **PINS)
    assert server.asked == []


def file_of(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def folder_of(content: bytes) -> Callable[[Path], object]:
    return lambda path: (path.mkdir(), (path / "inner").write_bytes(content))


def link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "a disk that is not mounted")


@pytest.mark.parametrize(
    "make", [file_of(LOGIN), folder_of(b"theirs"), link_to_nothing], ids=["file", "folder", "link"]
)
def test_what_had_the_name_is_kept_beside_the_right_file_and_told(
    make: Callable[[Path], object],
    server: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, file = server.give("labels.mat", RIGHT), tmp_path / "labels.mat"
    (tmp_path / "labels.mat.wrong").write_bytes(b"from the last time")
    make(file)
    before = file.lstat().st_mode
    fetch(url, file, **PINS)
    assert file.read_bytes() == RIGHT
    assert names(tmp_path) == ["labels.mat", "labels.mat.wrong", "labels.mat.wrong1"]
    assert (tmp_path / "labels.mat.wrong").read_bytes() == b"from the last time"
    aside = tmp_path / "labels.mat.wrong1"
    assert aside.lstat().st_mode == before
    if aside.is_dir():
        assert (aside / "inner").read_bytes() == b"theirs"
    elif not aside.is_symlink():
        assert aside.read_bytes() == LOGIN
    assert "it is kept as labels.mat.wrong1" in capsys.readouterr().err.replace("\n", "")


def test_where_there_are_no_hard_links_the_wrong_file_is_renamed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError("not on this file system")

    monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "labels.mat").write_bytes(b"wrong")
    fetch(server.give("labels.mat", RIGHT), tmp_path / "labels.mat", **PINS)
    assert (tmp_path / "labels.mat").read_bytes() == RIGHT
    assert (tmp_path / "labels.mat.wrong").read_bytes() == b"wrong"


def test_a_right_file_that_another_process_put_there_meanwhile_is_not_called_wrong(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, blocks = tmp_path / "labels.mat", fetching._blocks
    file.write_bytes(b"wrong")

    def overtaken(answer: object) -> object:
        file.write_bytes(RIGHT)
        return blocks(answer)

    monkeypatch.setattr(fetching, "_blocks", overtaken)
    fetch(server.give("labels.mat", RIGHT), file, **PINS)
    assert names(tmp_path) == ["labels.mat"]


def test_it_is_on_the_disk_before_it_has_its_name(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, synced, sync = tmp_path / "labels.mat", [], os.fsync

    def watched(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_size, file.exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    fetch(server.give("labels.mat", RIGHT), file, **PINS)
    assert (len(RIGHT), False) in synced


def test_killed_while_downloading_leaves_nothing_under_the_name(
    server: Server, tmp_path: Path
) -> None:
    url = server.give("labels.mat", Answer(RIGHT[:50_000], len(RIGHT), stalls=True), RIGHT)
    file = tmp_path / "labels.mat"
    file.write_bytes(b"wrong")
    code = (
        "import sys; from pathlib import Path; from pipeline import fetch\n"
        f"fetch({url!r}, Path({str(file)!r}), **{PINS!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    assert server.sent.wait(60)
    process.kill()
    process.wait()
    assert file.read_bytes() == b"wrong"
    left = [path for path in tmp_path.iterdir() if path != file]
    assert [path.name.startswith(".labels.mat.") for path in left] == [True]
    (tmp_path / ".labels.mat.0123abcd.tmp").write_bytes(b"of a download that is going on")
    (tmp_path / ".labels.mat.4567abcd.tmp").write_bytes(b"of one killed long ago")
    for path in (*left, tmp_path / ".labels.mat.4567abcd.tmp"):
        os.utime(path, (0, 0))
    fetch(url, file, **PINS)
    assert names(tmp_path) == [".labels.mat.0123abcd.tmp", "labels.mat", "labels.mat.wrong"]


def test_a_server_that_falls_silent_is_a_cut(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = fetching._answer

    def impatient(url: str) -> Any:
        answer = opened(url)
        answer.fp.raw._sock.settimeout(0.2)
        return answer

    monkeypatch.setattr(fetching, "_answer", impatient)
    url = server.give("labels.mat", Answer(RIGHT[:1000], len(RIGHT), stalls=True))
    with pytest.raises(InputError, match="1,000 of 153,600 bytes came"):
        fetch(url, tmp_path / "labels.mat", **PINS)
    assert names(tmp_path) == []


def test_an_endless_answer_is_not_read_to_its_end(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(_: object) -> Iterator[bytes]:
        yield from repeat(b"x" * 1000, 155)
        raise AssertionError("read on")

    monkeypatch.setattr(fetching, "_blocks", endless)
    with pytest.raises(InputError, match="more than 153,600 bytes came"):
        fetch(server.give("labels.mat", b""), tmp_path / "labels.mat", **PINS)


def test_a_name_that_is_looked_up_for_ever_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = Event()
    monkeypatch.setattr(fetching, "SECONDS", 0.05)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: ends.wait(60))
    with pytest.raises(InputError, match=r"no answer in 0\.05 s"):
        fetch("http://example.invalid/labels.mat", tmp_path / "labels.mat", **PINS)
    ends.set()
    assert names(tmp_path) == []


def test_an_error_of_the_server_is_told_and_not_asked_for_again(
    server: Server, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"labels\.mat cannot be downloaded: HTTP Error 404"):
        fetch(server.url + "labels.mat", tmp_path / "labels.mat", **PINS)
    assert len(server.asked) == 1
    assert names(tmp_path) == []


def test_a_full_disk_is_the_disks_fault(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a cut download: that is asked for again, and its message would blame the network."""
    opened = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda path, mode="r": opened(Path("/dev/full") if mode == "wb" else path, mode),
    )
    with pytest.raises(OSError, match="No space left") as caught:
        fetch(server.give("labels.mat", RIGHT), tmp_path / "labels.mat", **PINS)
    assert caught.value.filename == str(tmp_path / "labels.mat")
    assert names(tmp_path) == []
