"""From a finished run, or a comparison of runs, to one HTML file for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..report.comparison_page import comparison_page
from ..report.finished import Finished
from ..report.run_page import run_page
from .folder import RUNS, read_run, store_of, write

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ..store.store import Store

RUN_PAGE, COMPARISON, COMPARISON_PAGE = "report.html", "compare.json", "compare.html"

PICTURES = "pictures.npy"
"""Of a comparison: uint8 (variants, N, C, H, W), picture i of each from the same noise."""


def report(runs: Sequence[Path], store: Path | None = None) -> list[dict[str, Any]]:
    """The page of each run or comparison, given by folder or by name under ``runs/``.

    InputError for a run that is not there or has not finished.
    """
    return [
        {"run": str(path), "report": str(_write_again(path, store))} for path in dict.fromkeys(runs)
    ]


def write_report(folder: Path, store: Store) -> Path:
    """``report.html`` of the finished run in this folder."""
    file = folder / RUN_PAGE
    write(file, run_page(Finished(read_run(folder), store)))
    return file


def write_comparison(
    folder: Path, data: Mapping[str, Any], sheets: Mapping[str, ArrayLike]
) -> Path:
    """``compare.html``. ``sheets``: samples of each variant, uint8 (N, C, H, W), of one noise."""
    file = folder / COMPARISON_PAGE
    write(file, comparison_page(data, sheets))
    return file


def _write_again(path: Path, store: Path | None) -> Path:
    for folder in (path, RUNS / path):
        if (folder / COMPARISON).is_file():
            data = json.loads((folder / COMPARISON).read_text())
            names = [variant["name"] for variant in data["variants"]]
            if not (folder / PICTURES).is_file():
                raise InputError(f"{folder / PICTURES} is not there; compare again")
            sheets = dict(zip(names, np.load(folder / PICTURES), strict=True))
            return write_comparison(folder, data, sheets)
    about = read_run(path)
    return write_report(about["folder"], store_of(about, store))
