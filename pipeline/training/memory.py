"""The memory that training takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..errors import OutOfMemory, memory_refused
from ..format import byte_size
from ..machine import has_memory
from ..recipe.schema import Train
from ..system import peak_of_this_process


def peak_memory(device: str) -> int:
    """Bytes that were taken at most so far: by tensors on a GPU, else by this process."""
    if has_memory(device):
        return int(getattr(torch, torch.device(device).type).max_memory_allocated(device))
    return peak_of_this_process()


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
