"""The diagnosis of a finished run: its training, its samples and its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..diagnosis import curves, pictures
from ..diagnosis.diagnosis import find_in_training
from ..diagnosis.finding import Finding
from ..diagnosis.pictures import NeighboursRecord
from ..diffusion.images import Images
from ..format import evenly
from ..recipe.schema import Ema
from ..records import HistoryRecord, ScoreRecord

if TYPE_CHECKING:
    from torch import Tensor

ENOUGH = 512
"""Images of each side whose spread, contrast and saturation are compared."""


def diagnose(
    ema: Ema,
    history: Sequence[HistoryRecord],
    samples: Tensor,
    real: Images,
    neighbours: NeighboursRecord,
    scores: Mapping[str, ScoreRecord],
) -> list[Finding]:
    """What is wrong with a finished run; nothing for a healthy one.

    - ``ema``: how the run's weights were averaged.
    - ``history``: its validations, the oldest first.
    - ``samples``: generated images, uint8 (N, C, H, W).
    - ``real``: the prepared images; those for validation are compared with the samples.
    - ``neighbours``: the training images nearest to samples.
    - ``scores``: what was measured at the end, by the metrics' names.
    """
    validation = real.indices("validation")
    few_real = real.batch(validation[evenly(len(validation), ENOUGH)])
    few_samples = samples[:ENOUGH]
    findings = [
        pictures.all_alike(few_samples, few_real),
        pictures.washed_out(few_samples, few_real),
        pictures.copying(neighbours),
    ]
    for name, score in scores.items():
        more = f"set evaluate.num_images to {curves.ENOUGH}"
        findings.append(curves.too_few(name, score["protocol"], more))
    return [*find_in_training(history, ema), *(finding for finding in findings if finding)]
