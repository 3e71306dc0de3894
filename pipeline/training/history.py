"""The history of a training: its validations, one line each, and the grids beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..diagnosis.diagnosis import find_in_training
from ..format import metric_name
from ..progress import note
from ..recipe.schema import Ema
from ..records import HISTORY, HistoryRecord, Plain
from ..store.checked import read_json, write_json
from ..store.fingerprints import sha256_of
from ..store.folders import make_folder, write_text
from ..store.leftovers import check_grids

CHECKED = "history.json"
"""The same records as in ``history.jsonl``, and the grids' SHA-256 by their names, with a digest:
what training goes on from."""


class History:
    """The validations of a training in a folder, oldest first, and ``grids/`` beside them.

    ``history.jsonl`` is for people and pages. Damaged (a ValueError) where what is there is not as
    it was written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folder(folder / "grids")
        self.records = kept_records(folder)
        self.digests: dict[str, str] = _kept(folder).get("grids", {})

    def grid(self, step: int) -> Path:
        """The file of the grid that was drawn at this step."""
        return self.folder / f"grids/step-{step:08d}.png"

    def has(self, step: int) -> bool:
        """Whether this step was validated."""
        return any(record.step == step for record in self.records)

    def append(self, record: HistoryRecord) -> None:
        """Keep one more validation, whose grid is there."""
        grid = self.grid(record.step)
        self.digests[grid.name] = sha256_of(grid)
        self._keep([*self.records, record])

    def keep_only(self, step: int, every: int, total: int) -> None:
        """Drop what a training straight to ``total`` would not have at ``step``.

        A kill may leave a record later than the checkpoint, a shorter training that of its end.
        """
        reached = [record for record in self.records if record.step <= step]
        usual = [r for r in reached if r.step % every == 0 or r.step == total]
        dropped = [record for record in self.records if record not in usual]
        self._keep(usual)
        for record in dropped:
            self.grid(record.step).unlink(missing_ok=True)

    def _keep(self, records: list[HistoryRecord]) -> None:
        flat = [record.flat() for record in records]
        names = [self.grid(record.step).name for record in records]
        self.digests = {name: self.digests[name] for name in names}
        write_json(self.folder / CHECKED, {"records": flat, "grids": self.digests})
        lines = [json.dumps(line, allow_nan=False) + "\n" for line in flat]
        write_text(self.folder / HISTORY, "".join(lines))
        self.records = records


def kept_records(folder: Path) -> list[HistoryRecord]:
    """The validations in a training's folder. Damaged, a ValueError, if they are not as written."""
    return [HistoryRecord.of(line) for line in _kept(folder).get("records", [])]


def check_kept_grids(folder: Path) -> None:
    """Damaged, a ValueError, for a grid in a training's folder that is not as it was written."""
    check_grids(folder / CHECKED, _kept(folder))


def _kept(folder: Path) -> Plain:
    file = folder / CHECKED
    return read_json(file) if file.exists() else {}


def say_news(history: Sequence[HistoryRecord], ema: Ema) -> None:
    """Tell what the last validation shows and the one before did not."""
    known = {finding.name for finding in find_in_training(history[:-1], ema)}
    for finding in find_in_training(history, ema):
        if finding.name not in known:
            note(str(finding))


def line_of(record: HistoryRecord) -> str:
    """A validation in one line."""
    parts = [f"step {record.step} (epoch {record.epoch:.2f})"]
    for name in ("noise_loss", "image_loss"):
        both = [record.train.get(name), record.validation.get(name)]
        if any(value is not None for value in both):
            shown = " / ".join("-" if value is None else f"{value:.4f}" for value in both)
            parts.append(f"{name.replace('_', ' ')} {shown} (train / validation)")
    parts += [f"{metric_name(name)} {score['value']:.4f}" for name, score in record.scores.items()]
    return " · ".join(parts)
