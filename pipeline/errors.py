"""Errors that are shown without a traceback: the user's to mend, or the machine's."""

from __future__ import annotations

import errno
import os
import shutil

FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EIO, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
BUSY = (errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO)
MEMORY = (
    *("out of memory", "can't allocate memory", "cannot allocate memory", "alloc_cpu.cpp"),
    *("failed to map segment", "can't start new thread", "unable to allocate", "alloc_failed"),
    *("std::bad_alloc", "memoryerror"),
)
"""What libraries say, in small letters, when they get no memory."""


ENDS_WITH_STDIN = "PIPELINE_ENDS_WITH_STDIN"
"""The variable of the environment that makes a process stop softly when its stdin ends."""


class InputError(Exception):
    """Wrong input. Names the file, key or image and says what to do. Exit code 2."""


class Interrupted(Exception):
    """Stopped by a signal after saving; run again to go on. Exit code 128 + signal number."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum


class Failed(Exception):
    """The work itself failed: says what happened and what to change. Exit code 1."""


class OutOfMemory(Failed):
    """A training step that there was no memory for."""


def fault_of(error: BaseException) -> str:
    """What the machine refused, in one line: a write, a read, memory. Empty for other errors."""
    if said := memory_refused(error):
        return (
            f"out of memory ({said}): make train.batch_size, "
            "sample.batch_size, the images or the network smaller, or allow more memory"
        )
    number = errno_of(error)
    if number is None:
        return ""
    if isinstance(error, shutil.Error):  # of several files: for each what, where to and why
        place = error.args[0][0][1]
    else:
        named = isinstance(error, OSError) and error.errno
        place = path_of(error) if named else str(error).splitlines()[0]
    place = f"{place}: " if place else ""
    if number in FULL:
        return f"{place}the disk is full ({os.strerror(number)}); free some space"
    return f"{place}{os.strerror(number)}"


def errno_of(error: BaseException) -> int | None:
    """The system's number of a fault of the machine; None for other errors.

    Some libraries report it in their text only.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number is None and isinstance(error, (OSError, RuntimeError)):
        texts = {n: os.strerror(n) for n in (*FULL, *REFUSED)}
        number = next((n for n, text in texts.items() if text in str(error)), None)
    return number if number in (*FULL, *REFUSED, *BUSY) else None


def path_of(error: BaseException) -> str:
    """The path that the system's error names; empty where it names none."""
    name = getattr(error, "filename", None)
    return os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else ""


def memory_refused(error: BaseException) -> str:
    """What a library said, in one line, when it got no memory. Empty for other errors."""
    said = str(error).strip() or type(error).__name__
    refused = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    if refused or (isinstance(error, RuntimeError | ImportError) and names_memory(said)):
        return said.splitlines()[0].rpartition("err == 0. ")[2][:200]
    return ""


def names_memory(text: str) -> bool:
    """Whether a text says, in a library's words, that there was no memory."""
    return any(words in text.lower() for words in MEMORY)
