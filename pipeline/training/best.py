"""The best weights of a training so far, by the first metric of validation or by its loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..diffusion.model import Checkpointed, Choice
from ..records import HistoryRecord
from ..store.weights import read_state, read_weights, write_weights
from .validate import Measure, is_better


class Best:
    """The file ``best`` in a folder: weights, averaged and raw, and the record that chose them."""

    def __init__(self, folder: Path, measures: Sequence[Measure]) -> None:
        self.file, self.measures = folder / "best", measures

    def beaten_by(self, record: HistoryRecord) -> bool:
        """Whether a validation is better than the best one that was kept."""
        return is_better(record, self._record(), self.measures)

    def keep(self, now: Checkpointed) -> None:
        """Keep these weights in place of those before."""
        tensors, record = now
        write_weights(self.file, tensors, {"record": record})

    def choices(self, now: Checkpointed) -> dict[Choice, Checkpointed]:
        """The best and the last weights of a training that ends with these."""
        if self.beaten_by(HistoryRecord.of(now[1])):
            return {"best": now, "last": now}
        tensors, state = read_weights(self.file)
        return {"best": (tensors, state["record"]), "last": now}

    def _record(self) -> HistoryRecord | None:
        """What chose them, without reading the weights; None before the first."""
        if not self.file.with_suffix(".json").exists():
            return None
        return HistoryRecord.of(read_state(self.file)["record"])
