"""The times at which a batch is made noisy."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from pipeline import Draws

Times = Literal["uniform", "logit_normal", "stratified"]
Location = Annotated[float, Field(ge=-10, le=10)] | None
Scale = Annotated[float, Field(gt=0, le=10)] | None


def draw_times(
    times: Times, location: float | None, scale: float | None, x0: Tensor, draws: Draws
) -> Tensor:
    """A time t in [0, 1] for each of the images x0 (N, C, H, W), of their dtype and device.

    - ``uniform``: each time is as likely as any other;
    - ``logit_normal``: logit(t) is normal (Esser et al. 2024, https://arxiv.org/abs/2403.03206,
      section 3.1) with this location, none 0, and scale, none 1: more often in the middle;
    - ``stratified``: row i has (i + u) / N with u uniform, so every N-th part of [0, 1] has one
      time. Each time alone is still uniform over the batch; the mean over it varies less.
    """
    like = x0[:, 0, 0, 0]
    if times == "logit_normal":
        spread = 1.0 if scale is None else scale
        return ((location or 0.0) + spread * draws.normal(like)).sigmoid()
    t = draws.uniform(like)
    if times == "stratified":
        first = draws.batch.index(draws.rows[0])  # a process may have a part of the batch
        positions = torch.arange(first, first + len(t), dtype=t.dtype, device=t.device)
        t = (positions + t) / len(draws.batch)
    return t


def refuse_unread(option: str, value: str, reader: str, **given: float | None) -> None:
    """Raise ValueError for options that only the value ``reader`` of ``option`` reads."""
    for name, setting in given.items():
        if setting is not None and value != reader:
            raise ValueError(f"{name} is not an option of {option} {value}; {reader} reads it")
