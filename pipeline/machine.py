"""The machine that a run is made on: its description for ``run.json``, its devices and cores."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

from .errors import InputError
from .records import MachineRecord


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
    """The device to work on: ``auto`` is ``cuda`` where torch has it, else ``cpu``.

    InputError for any other device that cannot be used.
    """
    import torch  # here, because the store needs this module and `pipeline cache ls` no torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"--device {device}: not to be had here ({reason}); try auto") from error
    return device


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    """The processor's name; where the system does not tell it, the architecture."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _device(device: str) -> str:
    """The device with its name."""
    import torch  # here for the same reason as in `choose_device`

    cuda = device.startswith("cuda")
    return f"{device} ({torch.cuda.get_device_name(device)})" if cuda else device
