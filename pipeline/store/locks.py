"""Locks between processes, also on file systems that have none.

Where ``flock`` works, the system frees a lock when its process ends. Where it does not, as on some
mounts of NFS and Lustre, a file that only one process can make stands for the lock. Its holder
touches it every few seconds; it counts no longer when it has not been touched for minutes, or when
its process was on this machine and is gone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
"""What ``flock`` says where the file system has no locks."""

PATIENCE = 2.0
"""Seconds of waiting for another process before saying so."""
POLL = 0.1
"""Seconds between two looks at a lock that another process holds."""
BEAT, SILENT = 10.0, 180.0
"""Seconds between two touches, and without one: NFS shows a touch up to a minute late."""


@contextmanager
def locked(file: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Let one process, and one thread, at a time into the block.

    ``waiting`` is called once, with who is inside ("process 7 on host"), if that takes long.
    """
    lock = _flocked(file, waiting)
    if lock is None:
        with _claimed(file.with_name(file.name + ".held"), waiting):
            yield
        return
    try:
        with suppress(OSError):  # a full disk: it only tells others who is inside
            os.truncate(lock, 0)
            os.pwrite(lock, _me().encode(), 0)
        yield
    finally:
        os.close(lock)


def _flocked(file: Path, waiting: Callable[[str], None]) -> int | None:
    """The descriptor of the locked file; None where the file system has no locks."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        since: float | None = time.monotonic()
        while not _try(descriptor, fcntl.LOCK_EX):
            since = _waited(since, file, waiting)
        return descriptor
    except OSError as error:
        os.close(descriptor)
        if error.errno in NO_LOCKS:
            return None
        error.filename = str(file)
        raise
    except BaseException:
        os.close(descriptor)
        raise


def _try(descriptor: int, kind: int) -> bool:
    """Whether the lock was to be had at once."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _waited(since: float | None, file: Path, waiting: Callable[[str], None]) -> float | None:
    """Wait a moment; say so if it has been long. Returns since when to wait in silence."""
    time.sleep(POLL)
    if since is not None and time.monotonic() - since > PATIENCE:
        waiting(_holder(file))
        return None
    return since


def _holder(file: Path) -> str:
    """Who holds a lock, as far as its file tells."""
    with suppress(OSError, ValueError):
        number, host = file.read_text().split()[:2]
        return f"process {number} on {host}"
    return "another process"


class Users:
    """Who uses a folder: many at a time, or one alone. It is used as long as this object lives."""

    def __init__(self, folder: Path) -> None:
        """Waits while another process is alone with the folder."""
        self.folder = folder
        self._mark: Path | None = None
        try:
            self._lock: int | None = _open(folder / "in-use")
        except OSError:  # a folder that can only be read: nobody will be alone with it
            self._lock = None
            return
        weakref.finalize(self, os.close, self._lock)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            self._lock = None
            self._mark = self._register()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else uses the folder; nobody else begins to as long as the block runs."""
        if self._lock is not None:
            try:
                yield _try(self._lock, fcntl.LOCK_EX)
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_SH)  # a refused change of a lock loses the lock
        else:
            with _claimed(self._alone, lambda holder: None):
                marks = set(self.folder.glob("in-use.*.held")) - {self._alone, self._mark}
                yield not any(_is_alive(mark) for mark in marks)

    @property
    def _alone(self) -> Path:
        return self.folder / "in-use.alone.held"

    def _register(self) -> Path | None:
        """Make a mark of this process; then wait for the one that is alone, which sees the mark."""
        mark = self.folder / f"in-use.{secrets.token_hex(8)}.held"
        try:
            beating = _Beating(mark)
        except OSError as error:
            if error.errno in (errno.EROFS, errno.EACCES):
                return None
            raise
        weakref.finalize(self, beating.end)
        watch = _Watch(self._alone)
        while not watch.is_free():
            time.sleep(POLL)
        return mark


def _open(file: Path) -> int:
    with suppress(OSError):
        return os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    return os.open(file, os.O_RDONLY)


# Without flock ------------------------------------------------------------------------------------


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
        self.file, self.text, self.ended = (
            file,
            f"{_me()} {secrets.token_hex(8)}",
            threading.Event(),
        )
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(self.text)
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while not self.ended.wait(BEAT):
            with suppress(OSError):
                os.utime(self.file)

    def end(self) -> None:
        """Remove the file, unless another process took it for a dead one's and has its own."""
        self.ended.set()
        with suppress(OSError):
            if self.file.read_text() == self.text:
                self.file.unlink()


class _Watch:
    """Another process's file, looked at again and again."""

    def __init__(self, file: Path) -> None:
        self.file, self.seen, self.since = file, 0, time.monotonic()

    def is_free(self) -> bool:
        """Whether the file is gone, or was a dead process's and is removed now."""
        try:
            text, touched = self.file.read_text(), self.file.stat().st_mtime_ns
        except FileNotFoundError:
            return True
        if touched != self.seen:
            self.seen, self.since = touched, time.monotonic()
        if not _is_dead(text) and time.monotonic() - self.since < SILENT:
            return False
        _take_away(self.file, text)
        return True


def _take_away(file: Path, text: str) -> None:
    """Remove a dead process's file; what another has put there meanwhile is put back."""
    grave = file.with_name(f".{secrets.token_hex(4)}.tmp")
    with suppress(FileNotFoundError):
        file.rename(grave)
        if grave.read_text() != text:
            with suppress(OSError):
                os.link(grave, file)
        grave.unlink()


def _is_alive(mark: Path) -> bool:
    """Whether a mark's process may still run; one that is seen to be dead loses its mark."""
    with suppress(FileNotFoundError):
        text = mark.read_text()
        if not _is_dead(text) and time.time() - mark.stat().st_mtime < 2 * SILENT:
            return True
        _take_away(mark, text)
    return False


def _is_dead(text: str) -> bool:
    """Whether the process of this text was on this machine and is gone."""
    words, mine = text.split(), _me().split()
    if len(words) < len(mine) or words[1:3] != mine[1:3]:
        return False
    try:
        os.kill(int(words[0]), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _me() -> str:
    """This process: its number, its host, and where its number means it (containers)."""
    space = "-"
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return f"{os.getpid()} {os.uname().nodename} {space}"
