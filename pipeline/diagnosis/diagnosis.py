"""What a training's history tells. A healthy training has no finding.

The thresholds stand in ``curves.py``, each with its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import curves
from .curves import History
from .finding import Finding

if TYPE_CHECKING:
    from ..recipe.schema import Ema


def find_in_training(history: History, ema: Ema) -> list[Finding]:
    """What the validations of a training tell; nothing where there are none yet.

    ``ema`` says how the weights were averaged.
    """
    if not history:
        return []
    findings = [
        curves.predicting_zero(history),
        curves.average_not_warm(history, ema),
        curves.overfitting(history),
        curves.rate_too_high(history),
        curves.waiting_for_data(history),
        *curves.untrusted_metrics(history),
    ]
    return [finding for finding in findings if finding]
