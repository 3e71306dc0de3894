"""The machine that a run is made on: its description for ``run.json``, its devices and cores."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from .errors import InputError
from .ranks import here
from .records import MachineRecord

if TYPE_CHECKING:
    from torch import Tensor


GROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows control groups."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
"""Options of glibc's ``mallopt``, from its malloc.h."""

USUAL = {M_MMAP_MAX: 65536, M_MMAP_THRESHOLD: 2**25, M_TRIM_THRESHOLD: 2**26}
"""What glibc has by itself after some large pieces were freed."""


def machine(device: str) -> MachineRecord:
    """Describe this machine with ``device``: figures mean little without it."""
    return MachineRecord(
        cpu=_cpu(),
        cores=cores(),
        memory=psutil.virtual_memory().total,
        device=_device(device),
        python=platform.python_version(),
        platform=platform.platform(),
    )


def versions() -> dict[str, str]:
    """Versions of the packages that produce the numbers."""
    return {name: version(name) for name in ("diffusion-pipeline", "torch")}


def choose_device(device: str) -> str:
    """The device to work on: ``auto`` is the first of ``cuda``, ``mps``, ``xpu`` and ``cpu`` that
    this machine has. Each of several ranks has its own ``cuda:0``, ``cuda:1``, …

    InputError for any other device that cannot be used.
    """
    import torch  # here, because the store needs this module and `pipeline cache ls` no torch

    if device == "auto":
        there = {"cuda": torch.cuda, "mps": torch.backends.mps, "xpu": torch.xpu}
        device = next((name for name, has in there.items() if has.is_available()), "cpu")
        if here().size == 1:
            return device
    if here().size > 1 and device != "cpu":
        return _device_of_rank(device)
    try:
        torch.zeros(1, device=device).item()  # read, too: ``meta`` has no numbers
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).strip().splitlines()[0].partition(". ")[0]  # lists follow
        raise InputError(f"--device {device}: not to be had here ({reason}); try auto") from error
    return device


def _device_of_rank(device: str) -> str:
    """The GPU of this rank. InputError where there is none for each."""
    import torch  # here for the same reason as in `choose_device`

    world, count = here(), torch.cuda.device_count()
    if device != "cuda":
        raise InputError(f"--device {device}: several processes work on cuda (each its own) or cpu")
    if world.local_size > count:
        raise InputError(
            f"{world.local_size} processes on this machine, which has {count} GPUs: each needs its "
            "own; start fewer, or give --device cpu"
        )
    return f"cuda:{world.local_rank}"


def has_memory(device: str) -> bool:
    """Whether the device has memory of its own, to which page-locked memory is copied aside."""
    return device.partition(":")[0] in ("cuda", "xpu")


def free_memory(device: str) -> int:
    """How many bytes are free on the device; ``cpu`` and ``mps`` have the machine's own memory.

    That is no more than the limits of this process leave it: ``ulimit -v`` and ``-d``, and those of
    control groups, by which containers and batch systems limit it.
    """
    if has_memory(device):
        import torch  # here for the same reason as in `choose_device`

        return int(getattr(torch, torch.device(device).type).mem_get_info(device)[0])
    left = min(psutil.virtual_memory().available, *_left_to_process(), *_left_to_groups(GROUPS))
    return left // here().local_size  # each rank wants as much


def _left_to_process() -> Iterator[int]:
    """Bytes that each of the process's own limits leaves it, where Linux tells."""
    if platform.system() == "Linux":
        process = psutil.Process()
        taken = process.memory_info()
        for limit, used in ((psutil.RLIMIT_AS, taken.vms), (psutil.RLIMIT_DATA, taken.data)):
            most, _ = process.rlimit(limit)
            if most != psutil.RLIM_INFINITY:
                yield max(0, most - used)


def _left_to_groups(root: Path, own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Bytes that are left to each control group that this process is in, of version 1 or 2.

    What the system keeps of files in memory counts as free: it goes where memory is wanted.
    """
    for line in own.read_text(encoding="utf-8").splitlines() if own.is_file() else ():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            base, names = root / "memory", ("limit_in_bytes", "usage_in_bytes", "total_")
        elif not controllers:
            base, names = root, ("max", "current", "")
        else:
            continue
        group = base / path.lstrip("/")
        # A container may see its group as the root, and not where the path says.
        for folder in (place for place in (group, *group.parents) if place.is_relative_to(base)):
            yield from _left_to_group(folder, *names)


def _left_to_group(folder: Path, most: str, used: str, kept: str) -> Iterator[int]:
    with suppress(OSError, ValueError, KeyError):  # no such group, no limit ("max")
        limit = int((folder / f"memory.{most}").read_text(encoding="utf-8"))
        taken = int((folder / f"memory.{used}").read_text(encoding="utf-8"))
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
        figures = dict(line.split(" ", 1) for line in lines)
        files = sum(int(figures[f"{kept}{kind}_file"]) for kind in ("active", "inactive"))
        yield max(0, limit - taken + files)


def sent(values: Tensor, device: str) -> Tensor:
    """The values on the device. It need not be waited for: they follow what is queued there."""
    if has_memory(device):
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


@contextmanager
def reusing_memory() -> Iterator[None]:
    """Keep freed memory for what asks next, as glibc does not with pieces of 32 MB and more.

    On the CPU each layer of a network asks for such pieces and frees them again, and the system
    clears every page that it hands out: docs/performance.md has what that costs. The memory goes
    back at the end.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        for option, value in USUAL.items():
            libc.mallopt(option, value)
        libc.malloc_trim(0)


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_flags() -> set[str]:
    """The processor's instruction sets, such as ``avx512_bf16``; none where Linux does not tell."""
    return set(_cpu_info("flags").split())


def cpu_vendor() -> str:
    """The processor's maker as it names itself, such as ``AuthenticAMD``; "" where unknown."""
    return _cpu_info("vendor_id")


def _cpu() -> str:
    """The processor's name; where the system does not tell it, the architecture."""
    return _cpu_info("model name") or platform.processor() or platform.machine()


def _cpu_info(key: str) -> str:
    """What Linux tells of the first core; "" elsewhere."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _device(device: str) -> str:
    """The device with its name."""
    import torch  # here for the same reason as in `choose_device`

    cuda = device.startswith("cuda")
    return f"{device} ({torch.cuda.get_device_name(device)})" if cuda else device
