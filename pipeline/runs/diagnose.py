"""The diagnosis of a finished run: its training, its samples and its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..diagnosis import curves, pictures
from ..diagnosis.diagnosis import find_in_training
from ..diagnosis.finding import Finding
from ..diagnosis.length import barely_trained, longer_command, longer_training
from ..diagnosis.pictures import NeighboursRecord
from ..diffusion.images import Images
from ..format import evenly
from ..recipe.schema import Train
from ..records import AnchorRecord, DirectionRecord, HistoryRecord, ScoreRecord

if TYPE_CHECKING:
    from torch import Tensor

ENOUGH = 512
"""Images of each side whose spread, contrast and saturation are compared."""

OTHERWISE = {"predicting zero", "overfitting"}
"""What training for longer does not help against."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a finished run has measured."""

    history: Sequence[HistoryRecord]
    """Its validations, the oldest first."""
    samples: Tensor
    """Generated images, uint8 (N, C, H, W)."""
    real: Images
    """The prepared images; those for validation are compared with the samples."""
    neighbours: NeighboursRecord
    """The training images nearest to samples."""
    scores: Mapping[str, ScoreRecord] = field(default_factory=dict)
    """What was measured at the end, by the metrics' names."""
    anchors: Mapping[str, AnchorRecord] = field(default_factory=dict)
    """The same of real images and of an untrained network."""


def diagnose(
    train: Train, run: Measured, directions: Mapping[str, DirectionRecord], command: str
) -> list[Finding]:
    """What is wrong with a finished run; nothing for a healthy one.

    - ``train``: how it was trained;
    - ``directions``: which way each metric is better;
    - ``command``: what made it.
    """
    validation = run.real.indices("validation")
    few_real = run.real.batch(validation[evenly(len(validation), ENOUGH)])
    few_samples = run.samples[:ENOUGH]
    history = run.history

    def longer(times: int) -> str:
        total = getattr(train.lr_schedule, "total_steps", None)
        changes = longer_training(times, history, train.epochs, train.max_steps, total)
        return longer_command(command, changes)

    trained = find_in_training(history, train.ema)
    findings = [
        barely_trained(history, run.scores, run.anchors, directions, longer)
        if not OTHERWISE & {finding.name for finding in trained}
        else None,
        pictures.all_alike(few_samples, few_real),
        pictures.washed_out(few_samples, few_real),
        pictures.copying(run.neighbours),
    ]
    for name, score in run.scores.items():
        more = f"set evaluate.num_images to {curves.ENOUGH}"
        findings.append(curves.too_few(name, score["protocol"], more))
    return [*trained, *(finding for finding in findings if finding)]
