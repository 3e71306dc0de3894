"""What the machine is told and asked."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline import InputError, machine


@pytest.mark.parametrize("device", ["cuda", "mps", "xpu", "cpu"])
def test_auto_takes_the_first_device_that_there_is(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = {"cuda": torch.cuda, "mps": torch.backends.mps, "xpu": torch.xpu}
    names = [*order, "cpu"]
    for name, module in order.items():
        there = names.index(name) >= names.index(device)
        monkeypatch.setattr(module, "is_available", lambda there=there: there)
    assert machine.choose_device("auto") == device


@pytest.mark.parametrize("device", ["abacus", "meta", "xla", "hpu", "cuda:99", ""])
def test_a_device_that_computes_nothing_is_refused_in_a_short_line(device: str) -> None:
    with pytest.raises(InputError, match=f"^--device {device}: not to be had here") as refused:
        machine.choose_device(device)
    assert len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)


PAGES = """
import psutil, resource, torch
from pipeline.machine import reusing_memory

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(2**26, dtype=torch.uint8)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize()

usual = pages()
resident = psutil.Process().memory_info().rss
with reusing_memory():
    pages()  # small pieces asked for between find their places
    kept = pages()
print(usual, kept, psutil.Process().memory_info().rss - resident)
"""
"""How many bytes of new pages the system hands out while 64 MB are asked for and freed 8 times."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_used_again() -> None:
    # In a process of its own, whose memory nothing else has cut up.
    done = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    usual, kept, more = map(int, done.stdout.split())
    assert usual > 7 * 2**26, "otherwise there is nothing to save"
    assert kept < 2**26
    assert more < 2**25, "given back at the end"


LIMITED = """
import resource, sys
from pipeline.machine import free_memory

kind, room = sys.argv[1], int(sys.argv[2])
free = free_memory("cpu")
pages = int(open("/proc/self/statm").read().split()[0 if kind == "RLIMIT_AS" else 5])
limit = pages * resource.getpagesize() + room
resource.setrlimit(getattr(resource, kind), (limit, limit))
print(free, free_memory("cpu"))
"""


@pytest.mark.skipif(platform.system() != "Linux", reason="only Linux tells what is taken")
@pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_what_a_limit_of_the_process_leaves_is_free(kind: str) -> None:
    room = 2**28
    command = [sys.executable, "-c", LIMITED, kind, str(room)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    free, left = map(int, done.stdout.split())
    assert left == pytest.approx(min(free, room), abs=2**24)


def group(folder: Path, names: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in names.items():
        (folder / f"memory.{name}").write_text(text)


def test_what_control_groups_leave_is_free(tmp_path: Path) -> None:
    """Of version 2, where a group is within others that are limited too, and of version 1."""
    own = tmp_path / "own"
    stat = "anon 600\nactive_file 100\ninactive_file 50\n"
    group(tmp_path / "two/job/step", {"max": "max\n", "current": "900\n", "stat": stat})
    group(tmp_path / "two/job", {"max": "1000\n", "current": "900\n", "stat": stat})
    own.write_text("0::/job/step\n")
    assert list(machine._left_to_groups(tmp_path / "two", own)) == [250]
    stat = "total_active_file 100\ntotal_inactive_file 50\nactive_file 1\ninactive_file 1\n"
    group(
        tmp_path / "one/memory", {"limit_in_bytes": "1000", "usage_in_bytes": "900", "stat": stat}
    )
    own.write_text("5:cpu:/job\n4:memory:/not/seen/from/here\n0::/\n")
    assert list(machine._left_to_groups(tmp_path / "one", own)) == [250]
    assert list(machine._left_to_groups(tmp_path / "none", own)) == []
    assert list(machine._left_to_groups(tmp_path / "one", tmp_path / "none")) == []
