"""What a run was made on, for its ``run.json``: figures mean little without the machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from .errors import InputError


def machine(device: str) -> dict[str, Any]:
    """Processor, cores that this process may use, memory in bytes, device, Python and platform."""
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "memory": psutil.virtual_memory().total,
        "device": _device(device),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def versions() -> dict[str, str]:
    """Of what computes."""
    return {name: version(name) for name in ("diffusion-pipeline", "torch")}


def choose_device(device: str) -> str:
    """``auto`` is torch's ``cuda`` where there is one. A device asked for is used or refused."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"--device {device}: not to be had here ({reason}); try auto") from error
    return device


def cores() -> int:
    """Those this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu() -> str:
    """The model's name; where the system does not tell it, the architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _device(device: str) -> str:
    import torch

    cuda = device.startswith("cuda")
    return f"{device} ({torch.cuda.get_device_name(device)})" if cuda else device
