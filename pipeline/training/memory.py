"""The memory that training takes."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..errors import OutOfMemory, memory_refused
from ..format import byte_size
from ..machine import has_memory
from ..recipe.schema import Train

STATUS = Path("/proc/self/status")


def peak_memory(device: str) -> int:
    """Bytes that were taken at most so far: by tensors on a GPU, else by this process."""
    if has_memory(device):
        return int(getattr(torch, torch.device(device).type).max_memory_allocated(device))
    if STATUS.exists():  # getrusage would count the process that started this one
        return 1024 * int(re.findall(r"VmHWM:\s*(\d+)", STATUS.read_text())[0])
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextmanager
def naming_memory(settings: Train, step: int, device: str) -> Iterator[None]:
    """Around a training step: OutOfMemory, with the peak and the batch size, where it gets none."""
    try:
        yield
    except Exception as error:
        said = memory_refused(error)
        if not said:
            raise
        raise OutOfMemory(
            f"out of memory in step {step + 1} with train.batch_size {settings.batch_size}, "
            f"{byte_size(peak_memory(device))} taken at most ({said})"
        ) from None
