"""On what a training ran: threads, devices, versions and compiling change its last bits."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..records import StretchRecord


def stretches_with(
    before: Sequence[StretchRecord], step: int, device: str, compiled: bool, ranks: int
) -> list[StretchRecord]:
    """The stretches of a training that now goes on from this step, here."""
    here = StretchRecord(
        first_step=step,
        device=device,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
    )
    if compiled:
        here["compiled"] = True
    if ranks > 1:
        here["processes"] = ranks
    reached = [stretch for stretch in before if stretch["first_step"] < step]
    if reached and {**reached[-1], "first_step": step} == here:
        return reached
    return [*reached, here]
