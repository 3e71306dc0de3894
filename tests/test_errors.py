"""Faults of the machine: one line with path and cause, and exit code 1."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline import __main__
from pipeline.cli import main as commands
from pipeline.errors import fault_of

CODE = """
import resource, torch
import numpy as np
from pipeline.errors import fault_of
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, resource.RLIM_INFINITY))
for work in (lambda: torch.empty(2**32), lambda: np.empty(2**32), lambda: bytearray(2**32)):
    try:
        work()
    except Exception as error:
        print(fault_of(error))
"""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "", "/x/y"), "/x/y: the disk is full (No space left on device)"),
        (OSError(errno.EDQUOT, "", Path("/x")), "/x: the disk is full (Disk quota exceeded)"),
        (OSError(errno.EIO, "", b"/x"), "/x: Input/output error"),
        (OSError(errno.EFBIG, "", "/x"), "/x: File too large"),
        (OSError(errno.EROFS, "", "/x"), "/x: Read-only file system"),
        (PermissionError(errno.EACCES, "", "/x"), "/x: Permission denied"),
        (RuntimeError("writing /x (os error 28): No space left on device\nmore"), "writing /x"),
        (shutil.Error([("/a", "/b", "[Errno 28] No space left on device")]), "/b: the disk is"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "out of memory (CUDA"),
        (RuntimeError("can't start new thread"), "out of memory"),
        (ImportError("x.so: failed to map segment from shared object"), "out of memory"),
        (MemoryError(), "out of memory (MemoryError): make train.batch_size"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
    ],
)
def test_a_fault_is_one_line(error: Exception, said: str) -> None:
    assert fault_of(error).startswith(said)
    assert "\n" not in fault_of(error)


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), FileNotFoundError(errno.ENOENT, "", "/x"), RuntimeError("size"), OSError()],
)
def test_a_mistake_of_ours_is_no_fault(error: Exception) -> None:
    assert fault_of(error) == ""


def test_a_limit_of_memory_is_told() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("out of memory (") for line in lines)
    assert resource.RLIMIT_AS


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EIO, errno.EFBIG, errno.EROFS, errno.EACCES]
)
def test_the_command_says_it_and_ends_with_1(monkeypatch, capsys, number: int) -> None:
    def refuse(**options: object) -> None:
        raise OSError(number, os.strerror(number), "/runs/x/report.html")

    monkeypatch.setattr("pipeline.runs.page.report", refuse)
    monkeypatch.setattr(sys, "argv", ["pipeline", "report", "x"])
    assert commands.cli
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("failed: /runs/x/report.html: ")
    assert os.strerror(number) in line
