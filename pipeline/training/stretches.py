"""The machines that a training ran on: other threads, devices and versions change its last bits."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..records import StretchRecord


def stretches_with(before: Sequence[StretchRecord], step: int, device: str) -> list[StretchRecord]:
    """The stretches of a training that now goes on from this step, here."""
    here = StretchRecord(
        first_step=step,
        device=device,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
    )
    reached = [stretch for stretch in before if stretch["first_step"] < step]
    if reached and {**reached[-1], "first_step": step} == here:
        return reached
    return [*reached, here]
