"""Ctrl-C, SIGTERM and a closed terminal as a wish to stop at the next safe point.

SIGUSR2 is SIGTERM from a cluster that wants its machine back.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ..errors import Interrupted


class Stop:
    """Whether the user wants to stop."""

    signum: int | None = None
    """The signal that asked for it."""
    at_once = False
    """Set while stopping anywhere would lose nothing: a signal then stops without waiting."""


def _signals() -> list[int]:
    """What asks to stop. Under nohup a closed terminal does not, and Windows tells of none."""
    signals = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGUSR2"):
        signals.append(signal.SIGUSR2)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    return list(map(int, signals))


@contextmanager
def stopping_softly() -> Iterator[Stop]:
    """Let the first signal only set ``signum``, unless ``at_once``; a second one stops."""
    stop = Stop()

    def ask(signum: int, _: FrameType | None) -> None:
        if stop.signum is not None and signum == getattr(signal, "SIGUSR2", None):
            return  # a cluster may send it to each process of a job, and they to each other
        if stop.at_once or stop.signum is not None:
            raise Interrupted(signum, "stopped; the same command goes on from the last checkpoint")
        stop.signum = signum

    # Only the main thread may set handlers; in others (a notebook's worker) the caller has its own.
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {s: signal.signal(s, ask) for s in _signals()}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
