"""Locks between processes that hold on every file system, also between machines.

A file that only one process can make (``O_EXCL``) stands for the lock, and not the system's
``flock``, of which network file systems hold what they like. Its holder touches it every few
seconds. A lock of this machine counts as long as its process lives: one of an earlier boot, or of a
process whose number another one has by now, is a dead one's at once. A lock of another machine
counts until it has not been touched for minutes. A lock only saves work: who was cut off from the
others for minutes may find that another works beside it, and nothing becomes wrong by that.
"""

from __future__ import annotations

import os
import platform
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from zlib import crc32

from ..errors import FULL
from ..system import began, is_running

PATIENCE = 2.0
"""Seconds of waiting for another process before saying so."""
POLL = 0.1
"""Seconds between two looks at a lock that another process holds."""
BEAT, SILENT = 10.0, 180.0
"""Seconds between two touches, and without one: NFS shows a touch up to a minute late."""
WRITING = 0.2
"""Seconds between the making of such a file and its text: one without lost it with the power, or
found no room on the disk."""

HELD = ".held"
"""The end of the name of a file that stands for a lock, or for a process that is at work."""

_ours: set[str] = set()
"""What stands in this process's own files: another file with its number is a dead one's."""
_guard = threading.RLock()
"""Held while such a file is made, removed or judged, so that no thread takes away another's."""


@contextmanager
def locked(file: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Let one process, and one thread, at a time into the block.

    ``waiting`` is called once, with who is inside ("process 7 on host"), if that takes long.
    """
    with _claimed(file.with_name(file.name + HELD), waiting):
        yield


def _waited(since: float | None, file: Path, waiting: Callable[[str], None]) -> float | None:
    """Wait a moment; say so if it has been long. Returns since when to wait in silence."""
    time.sleep(POLL)
    if since is not None and time.monotonic() - since > PATIENCE:
        waiting(_holder(file))
        return None
    return since


def holder(file: Path) -> str | None:
    """Who holds a lock now; None where nobody does. Nothing is waited for, made or removed."""
    held = file.with_name(file.name + HELD)
    with suppress(OSError):
        if _counts(_read(held), (time.time() - held.stat().st_mtime) / 2):
            return _holder(held)
    return None


def _holder(file: Path) -> str:
    """Who holds a lock, as far as its file tells."""
    with suppress(OSError, ValueError):
        host, _, _, _, number, *_ = _read(file).split()
        return f"process {number} on {host}"
    return "another process"


class Users:
    """Who uses a folder: many at a time, or one alone. It is used as long as this object lives."""

    def __init__(self, folder: Path) -> None:
        """Waits while another process is alone with the folder."""
        self.folder = folder
        self._mark = folder / f"in-use.{secrets.token_hex(8)}{HELD}"
        try:
            beating = _Beating(self._mark)
        except OSError:  # a folder that can only be read, or is full: nobody will know of this one
            return
        weakref.finalize(self, beating.end)
        watch = _Watch(self._alone)  # that one, if there is one, sees the mark
        while not watch.is_free():
            time.sleep(POLL)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else uses the folder; nobody else begins to as long as the block runs."""
        with ExitStack() as stack:
            try:
                stack.enter_context(_claimed(self._alone, lambda holder: None))
            except OSError as error:
                if error.errno not in FULL:  # where there is no room, to remove is what helps
                    raise
            marks = set(self.folder.glob(f"in-use.*{HELD}")) - {self._alone, self._mark}
            yield not any(_may_live(mark) for mark in marks)

    @property
    def _alone(self) -> Path:
        return self.folder / f"in-use.alone{HELD}"


@contextmanager
def marked(mark: Path) -> Iterator[None]:
    """Tell others, as long as the block runs, that this process is at work."""
    beating = _Beating(mark)
    try:
        yield
    finally:
        beating.end()


def is_at_work(mark: Path) -> bool:
    """Whether a process of this machine is at work that has ``marked`` this, or is about to."""
    with _guard, suppress(OSError):
        text, silent = _read(mark), time.time() - mark.stat().st_mtime
        begun = not _is_whole(text) and silent < WRITING
        return begun or _lives_here(text) is True
    return False


@contextmanager
def _claimed(file: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Make the file that stands for the lock, and remove it at the end."""
    watch = _Watch(file)
    since: float | None = time.monotonic()
    while True:
        try:
            beating = _Beating(file)
            break
        except FileExistsError:
            if not watch.is_free():
                since = _waited(since, file, waiting)
    try:
        yield
    finally:
        beating.end()


class _Beating:
    """A file of this process that a thread touches until ``end``."""

    def __init__(self, file: Path) -> None:
        """FileExistsError where it is there."""
        self.file, self.process, self.ended = file, os.getpid(), threading.Event()
        self.text = _with_sum(f"{_me()} {secrets.token_hex(8)}")
        with _guard:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                os.write(descriptor, self.text.encode())
            except OSError:  # a full disk: it only tells others who is inside
                os.ftruncate(descriptor, 0)
                self.text = ""
            finally:
                os.close(descriptor)
            _ours.add(self.text)
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while not self.ended.wait(BEAT):
            with suppress(OSError):
                os.utime(self.file)

    def end(self) -> None:
        """Remove the file, unless another process took it for a dead one's and has its own."""
        self.ended.set()
        with _guard, suppress(OSError):
            _ours.discard(self.text)
            if os.getpid() == self.process and _read(self.file) == self.text:
                self.file.unlink()


class _Watch:
    """Another process's file, looked at again and again."""

    def __init__(self, file: Path) -> None:
        self.file, self.seen, self.since = file, 0, time.monotonic()

    def is_free(self) -> bool:
        """Whether the file is gone, or was a dead process's and is removed now."""
        with _guard:
            return self._is_free()

    def _is_free(self) -> bool:
        try:
            text, touched = _read(self.file), self.file.stat().st_mtime_ns
        except FileNotFoundError:
            return True
        if touched != self.seen:
            self.seen, self.since = touched, time.monotonic()
        if _counts(text, time.monotonic() - self.since):
            return False
        _take_away(self.file, text)
        return True


def _read(file: Path) -> str:
    """Its text, whatever a loss of power made of it."""
    return file.read_text(encoding="utf-8", errors="replace")


def _take_away(file: Path, text: str) -> None:
    """Remove a dead process's file; what another has put there meanwhile is put back."""
    grave = file.with_name(f".{secrets.token_hex(4)}.tmp")
    with suppress(FileNotFoundError):
        file.rename(grave)
        if _read(grave) != text:
            with suppress(OSError):
                os.link(grave, file)
        grave.unlink()


def _may_live(mark: Path) -> bool:
    """Whether a mark's process may still run; one that is seen to be dead loses its mark."""
    with _guard, suppress(FileNotFoundError):
        text, silent = _read(mark), time.time() - mark.stat().st_mtime
        if _counts(text, silent / 2):  # the clocks of machines differ
            return True
        _take_away(mark, text)
    return False


def _counts(text: str, silent: float) -> bool:
    """Whether a file of this text, not touched for so many seconds, may be a living process's."""
    if not _is_whole(text):
        return silent < WRITING
    lives = _lives_here(text)
    return silent < SILENT if lives is None else lives


def _lives_here(text: str) -> bool | None:
    """Whether the process of this text lives on this machine; None if that cannot be told here."""
    words, mine = text.split(), _me().split()
    if len(words) < len(mine) or words[:2] != mine[:2]:
        return None
    if words[2] != mine[2]:
        return False  # the machine was started anew since
    if words[3] != mine[3]:
        return None
    if words[4] == mine[4]:
        return text in _ours
    if not is_running(int(words[4])):
        return False
    since = began(int(words[4]))
    return since == words[5] if since else None


def _is_whole(text: str) -> bool:
    """Whether it is neither being written nor damaged."""
    return text == _with_sum(text.rpartition(" ")[0])


def _with_sum(text: str) -> str:
    """The text with a checksum: a damaged one tells nothing of its process."""
    return f"{text} {crc32(text.encode()):08x}"


def _me() -> str:
    """This process: host, machine, boot, where its number means it (containers), number and begin.

    Hosts may have one name, and copied machines one identity; few have both.
    """
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    machine, boot = _word("/etc/machine-id"), _word("/proc/sys/kernel/random/boot_id")
    words = [platform.node(), machine, boot, space, str(os.getpid()), began(os.getpid())]
    return " ".join(word or "-" for word in words)


def _word(file: str) -> str:
    with suppress(OSError):
        return Path(file).read_text(encoding="utf-8").strip()
    return ""
