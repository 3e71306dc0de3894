"""What training and sampling start from, watched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from torch import Tensor

from pipeline.diffusion.model import Model
from pipeline_samplers.ddim import DDIM

Drawn = dict[int, list[tuple[Tensor, list[int]]]]
"""By the number of steps: starting noise and labels of each batch."""


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drawn]:
    """What every sampling starts from."""
    found: Drawn = {}
    label: list[Any] = [None]
    sampler, denoiser = DDIM.__call__, Model.denoiser

    def spied(self: DDIM, denoise: Any, x: Tensor, levels: Any, draws: Any) -> Tensor:
        noise = x / levels[0].c
        labels = [] if label[0] is None else label[0].tolist()
        if len(x) > 1:  # one image is tried before a run begins
            found.setdefault(len(levels) - 1, []).append((noise, labels))
        return sampler(self, denoise, x, levels, draws)

    def remembered(self: Model, given: Tensor | None = None, *arguments: Any) -> Any:
        label[0] = given
        return denoiser(self, given, *arguments)

    monkeypatch.setattr(DDIM, "__call__", spied)
    monkeypatch.setattr(Model, "denoiser", remembered)
    return found
