"""Commands in forks of this process, which has imported all: a trial costs only its work."""

from __future__ import annotations

import atexit
import fcntl
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pipeline.__main__

LONG = 120.0
"""Seconds after which a command counts as hanging."""
ROOM = 2**20
"""Bytes that a command may say; a pipe holds them, which no limit on files touches."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    """The exit code; below 0, the signal that killed it."""
    out: str
    err: str
    seconds: float


class Started:
    """A command at work in a process of its own."""

    def __init__(
        self, words: Sequence[str], folder: Path, before: Callable[[], object] = lambda: None
    ) -> None:
        """``before`` is called in the new process, in ``folder``, before the command."""
        self.words, self.began = words, time.monotonic()
        self._out, out = _pipe()
        self._err, err = _pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            _be(words, folder, before, out, err)
        os.close(out)
        os.close(err)

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, how) is None

    def wait(self, kill_after: float | None = None) -> Ended:
        """Until it ends, or is killed after so many seconds."""
        end = self.began + (LONG if kill_after is None else kill_after)
        while not (waited := os.waitpid(self.pid, os.WNOHANG))[0]:
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                waited = os.waitpid(self.pid, 0)
                break
            time.sleep(0.002)
        return self._ended(os.waitstatus_to_exitcode(waited[1]))

    def _ended(self, code: int) -> Ended:
        seconds = time.monotonic() - self.began
        with os.fdopen(self._out, "rb") as out, os.fdopen(self._err, "rb") as err:
            texts = [file.read().decode(errors="replace") for file in (out, err)]
        return Ended(code, texts[0], texts[1], seconds)


def command(
    words: Sequence[str], folder: Path, before: Callable[[], object] = lambda: None
) -> Ended:
    """``pipeline WORDS`` in this folder."""
    return Started(words, folder, before).wait()


def import_all(modules: Sequence[str]) -> None:
    """Import what a command imported, as far as it can be."""
    for name in modules:
        if name not in sys.modules:
            try:
                importlib.import_module(name)
            except ImportError:
                continue


def _pipe() -> tuple[int, int]:
    pair = os.pipe()
    fcntl.fcntl(pair[1], fcntl.F_SETPIPE_SZ, ROOM)
    return pair


def _be(
    words: Sequence[str], folder: Path, before: Callable[[], object], out: int, err: int
) -> None:
    """The command, to the end of the process."""
    code = 1
    try:
        for descriptor, standard in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
            os.dup2(descriptor, standard)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where this runs under nohup
        os.chdir(folder)
        sys.argv = ["pipeline", *words]
        before()
        pipeline.__main__.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else bool(end.code)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
