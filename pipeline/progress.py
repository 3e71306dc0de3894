"""The progress of long jobs on stderr: a bar on a terminal, a plain line every 30 s elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .format import clock

T = TypeVar("T")

PLAIN_SECONDS = 30.0
"""The time between two plain lines: logs of batch systems are read with tail."""

WIDE = 100
"""Columns of a terminal from which there is room for a bar beside the numbers."""

BAR_SECONDS = 0.2
"""The time between two states of a bar."""


class ProgressBar:
    """The progress of one job: ``done`` of ``total`` steps, with a text that may change."""

    def __init__(self, description: str, total: int, done: int, bar: Progress | None) -> None:
        self.description, self.total, self.done = description, total, done
        self.bar, self.task = bar, bar.add_task(description, total=total, text="") if bar else None
        self.started = self.said = time.monotonic()
        self.first = done
        if bar and self.task is not None:
            bar.update(self.task, completed=done)

    def step(self, count: int = 1, text: Callable[[], str] | None = None) -> None:
        """Count ``count`` more steps. ``text`` is called only when it is shown."""
        self.done += count
        now = time.monotonic()
        if _quiet or now - self.said < (BAR_SECONDS if self.bar else PLAIN_SECONDS):
            return
        if self.bar and self.task is not None:
            self.said = now
            self.bar.update(self.task, completed=self.done, text=text() if text else "")
        else:
            self.say(text() if text else "")

    def close(self) -> None:
        """Show the end. A bar within another one makes room; one on its own stays."""
        if self.bar and self.task is not None:
            self.bar.update(self.task, completed=self.done)
            if len(self.bar.tasks) > 1:
                self.bar.remove_task(self.task)

    def say(self, text: str = "") -> None:
        """Print one plain line with the time spent and an estimate of the time left."""
        self.said = time.monotonic()
        spent = self.said - self.started
        left = spent / max(1, self.done - self.first) * (self.total - self.done)
        more = f" · {text}" if text else ""
        line = f"{self.description} {self.done}/{self.total} · {clock(spent)} · {clock(left)} left"
        print(line + more, file=sys.stderr, flush=True)


_quiet = False


def be_quiet(quiet: bool = True) -> None:
    """Tell nothing from now on: another process of the same command does, or ``-q`` was given."""
    global _quiet
    _quiet = quiet


_shown: ContextVar[Progress | None] = ContextVar("shown", default=None)
"""The bars on the terminal: a job within a job gets a line of its own there."""


@contextmanager
def progress(description: str, total: int, done: int = 0) -> Iterator[ProgressBar]:
    """Show the progress of ``total`` steps, of which ``done`` were done before."""
    console = Console(stderr=True, force_jupyter=False)
    if _quiet or not console.is_terminal:
        bar = ProgressBar(description, total, done, None)
        yield bar
        if bar.said > bar.started and not _quiet:  # it has told something, so it tells its end
            bar.say()
        return
    with _bars(console) as shown:
        bar = ProgressBar(description, total, done, shown)
        try:
            yield bar
        finally:
            bar.close()


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    """The bars that are on the terminal, or new ones."""
    if outer := _shown.get():
        yield outer
        return
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    ]
    if console.width < WIDE:  # the numbers matter more than the bar
        del columns[1]
    with Progress(*columns, console=console) as shown:
        token = _shown.set(shown)
        try:
            yield shown
        finally:
            _shown.reset(token)


def track(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """Yield the items and show the progress."""
    with progress(description, total) as bar:
        for item in items:
            yield item
            bar.step()


def note(message: str) -> None:
    """Print one line on stderr, above the bars where there are any."""
    if _quiet:
        return
    shown = _shown.get()
    console = shown.console if shown else Console(stderr=True, highlight=False, force_jupyter=False)
    console.print(message, markup=False, highlight=False, soft_wrap=True)
