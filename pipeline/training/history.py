"""The history of a training: its validations, one line each, and the grids beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..diagnosis.diagnosis import find_in_training
from ..progress import note
from ..recipe.schema import Ema
from ..records import HISTORY, HistoryRecord, read_history
from ..store.folders import write_text


class History:
    """``history.jsonl`` and ``grids/`` in a folder; records are validations, oldest first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "grids").mkdir(parents=True, exist_ok=True)
        self.records = read_history(folder)

    def grid(self, step: int) -> Path:
        """The file of the grid that was drawn at this step."""
        return self.folder / f"grids/step-{step:08d}.png"

    def has(self, step: int) -> bool:
        """Whether this step was validated."""
        return any(record.step == step for record in self.records)

    def append(self, record: HistoryRecord) -> None:
        """Keep one more validation."""
        with (self.folder / HISTORY).open("a") as file:
            file.write(json.dumps(record.flat(), allow_nan=False) + "\n")
        self.records.append(record)

    def keep_only(self, step: int, every: int, total: int) -> None:
        """Drop what a training straight to ``total`` would not have at ``step``.

        A kill may leave a record later than the checkpoint, a shorter training that of its end.
        """
        reached = [record for record in self.records if record.step <= step]
        usual = [r for r in reached if r.step % every == 0 or r.step == total]
        for record in self.records:
            if record not in usual:
                self.grid(record.step).unlink(missing_ok=True)
        lines = [json.dumps(record.flat()) + "\n" for record in usual]
        write_text(self.folder / HISTORY, "".join(lines))
        self.records = usual


def say_news(history: Sequence[HistoryRecord], ema: Ema) -> None:
    """Tell what the last validation shows and the one before did not."""
    known = {finding.name for finding in find_in_training(history[:-1], ema)}
    for finding in find_in_training(history, ema):
        if finding.name not in known:
            note(str(finding))
