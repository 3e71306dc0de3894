"""What the page of a run is made from: plain data, pixels and files, with no run and no store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..diagnosis.pictures import NeighboursRecord
from ..records import HistoryRecord, RunRecord
from .encode import Pixels


@dataclass(frozen=True)
class ImageCounts:
    """How many prepared images there are, and their size in pixels."""

    train: int
    height: int
    width: int


@dataclass(frozen=True)
class Trace:
    """One image on its way from noise, at each call of the network."""

    x: Pixels
    """What the network sees at each call, (calls, C, H, W)."""
    x0: Pixels
    """The clean image that it expects at each call, (calls, C, H, W)."""
    image: Pixels
    """The finished image, (C, H, W)."""
    rates: npt.NDArray[np.float64]
    """Signal and noise at each call, (calls, 2)."""


@dataclass(frozen=True)
class Neighbours:
    """The training images that are nearest to samples."""

    record: NeighboursRecord
    images: Mapping[int, Pixels]
    """Prepared images (C, H, W) by index, at least those of ``record`` that the page shows."""


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """All that the page of a run shows; what the run does not have is None or empty."""

    record: RunRecord
    folder: Path
    """The run's folder, as the command that makes the run again has it."""
    recipe: str
    """The text of ``recipe.yaml``: every value, with its origin as a comment."""
    counts: ImageCounts
    samples: Pixels
    """The run's first samples, (N, C, H, W), at least those that the page shows."""
    real: Pixels
    """Real images of the half that scores compare with, (N, C, H, W)."""
    sizes: Mapping[str, int]
    """Bytes of each artifact, by the names of ``record["artifacts"]``."""
    history: Sequence[HistoryRecord] = ()
    """The validations, oldest first."""
    grids: Mapping[int, Path] = field(default_factory=dict)
    """PNG files of samples from always the same noise, by training step, ascending."""
    trace: Trace | None = None
    neighbours: Neighbours | None = None
