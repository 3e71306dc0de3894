"""Consoles of any code page, and places written with ``~``."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from pathlib import Path

import click
import psutil
import pytest

from pipeline.__main__ import _say_what_can_be_said
from pipeline.cli.options import FOLDER
from pipeline.errors import ENDS_WITH_STDIN


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437"])
def test_a_console_without_a_sign_shows_another(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    _say_what_can_be_said()
    click.echo("32×32 … 花 \udc80")
    sys.stdout.flush()
    assert written.getvalue().startswith(b"32")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_trial_ends_with_whatever_started_it(end: signal.Signals) -> None:
    wait = "import time; from pipeline import __main__ as m; m.cli = lambda **_: time.sleep(60)"
    mark = f"import os; os.environ[{ENDS_WITH_STDIN!r}] = '1'"
    child = f"{mark}; {wait}; print(1, flush=1); m.main()"
    start = (
        "import signal, subprocess, sys, time; "  # a job in the background ignores some
        "[signal.signal(s, signal.SIG_DFL) for s in (signal.SIGHUP, signal.SIGINT)]; "
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}], stdin=subprocess.PIPE, "
        "stdout=subprocess.PIPE); p.stdout.readline(); print(p.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE)
    assert parent.stdout
    trial = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(end)
    parent.wait(10)
    assert psutil.wait_procs([trial], timeout=10)[1] == []


def test_the_home_folder_is_meant_by_its_short_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FOLDER.convert("~/x", None, None) == tmp_path / "x"
    assert FOLDER.convert("./~/x", None, None) == Path("./~/x")
