"""The pages of finished runs and of comparisons: what is read for them, and where they are written.

No torch: a page is also written where the plugins and the device of its run are gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from ..artifacts import files
from ..diffusion.images import Images
from ..errors import InputError
from ..format import evenly
from ..records import ComparisonRecord, Plain
from ..report.comparison_page import comparison_page
from ..report.encode import Pixels
from ..report.page_data import ImageCounts, Neighbours, RunPage, Trace
from ..report.run_page import COPIES, REAL, SAMPLES, run_page
from ..store.checked import Damaged, as_written, read_json
from ..store.folders import write_text
from ..store.hdf5 import reading
from ..store.store import Artifact
from .finished import Run, finished_run
from .layout import RECIPE
from .live import RUN_PAGE, write_unfinished_page
from .opened import unfinished_folder
from .resolve import resolve

COMPARISON, COMPARISON_PAGE = "compare.json", "compare.html"

PICTURES = "pictures.npy"
"""A comparison's samples: uint8 (variants, N, C, H, W), image i of each from the same noise."""
REAL_PICTURES = "real.npy"
"""Real images beside them: uint8 (1, N, C, H, W)."""


def report(runs: Sequence[Path], *, store: Path | None = None) -> list[dict[str, str]]:
    """Write the pages of finished runs and comparisons anew, and return where each one is.

    - ``runs``: folders, or names under ``runs/``. What is named twice is written once.
    - ``store``: where the runs' artifacts are kept; none: where each run says.

    Returns ``{"run": …, "report": …}`` for each, the second the page's file. InputError for a run
    that is not there or has not finished, and for a store or a file that is gone.
    """
    return [{"run": str(run), "report": str(_rewrite(run, store))} for run in dict.fromkeys(runs)]


def write_run_page(run: Run) -> Path:
    """Write ``report.html`` into the run's folder and return where it is."""
    file = run.folder / RUN_PAGE
    write_text(file, run_page(_page_data(run)))
    return file


def write_comparison_page(
    folder: Path,
    record: ComparisonRecord,
    samples: Mapping[str, Pixels],
    real: Pixels | None = None,
) -> Path:
    """Write ``compare.html`` into the comparison's folder and return where it is.

    ``samples`` are images of each variant, (N, C, H, W), image i of all from the same noise, and
    ``real`` are real ones.
    """
    file = folder / COMPARISON_PAGE
    write_text(file, comparison_page(record, samples, real))
    return file


def _rewrite(path: Path, store: Path | None) -> Path:
    folder = resolve(path, COMPARISON)
    if folder and (folder / COMPARISON).is_file():
        return _rewrite_comparison(folder)
    if unfinished := unfinished_folder(path):
        return write_unfinished_page(unfinished)
    run = finished_run(path, store=store)
    if "exported" in run.record:
        raise InputError(f"{path}: is an exported run; its page is {RUN_PAGE} in it")
    return write_run_page(run)


def _rewrite_comparison(folder: Path) -> Path:
    try:
        record = cast("ComparisonRecord", read_json(folder / COMPARISON))
    except Damaged as error:
        raise InputError(f"{error}; compare again") from error
    if not (folder / PICTURES).is_file():
        raise InputError(f"{folder / PICTURES} is not there; compare again")
    names = [variant["name"] for variant in record["variants"]]
    samples = dict(zip(names, _pictures(folder / PICTURES, len(names)), strict=True))
    file = folder / REAL_PICTURES  # comparisons of older versions have none
    real = _pictures(file, 1)[0] if file.is_file() else None
    return write_comparison_page(folder, record, samples, real)


def _pictures(file: Path, count: int) -> Pixels:
    """A comparison's samples. InputError for a damaged file, or one that is not ours."""
    try:
        pictures = np.load(file, mmap_mode="r", allow_pickle=False)  # shapes before bytes
        sound = pictures.dtype == np.uint8 and pictures.ndim == 5 and len(pictures) == count
    except Exception as error:  # numpy parses Python to read the header
        raise InputError(f"{file} is damaged ({error}); compare again") from error
    if not sound:
        raise InputError(f"{file} is damaged: it does not hold {count} variants; compare again")
    return np.asarray(pictures)


def _page_data(run: Run) -> RunPage:
    """All that the page shows, read from the run's folder and from its artifacts."""
    artifacts = {name: run.artifact(name) for name in run.record["artifacts"]}
    images = artifacts["images"].path / files.IMAGES
    grids = sorted((run.folder / "grids").glob("step-*.png"))
    with as_written(run.folder / RECIPE):
        recipe = (run.folder / RECIPE).read_text(encoding="utf-8")
    return RunPage(
        record=run.record,
        folder=run.folder,
        recipe=recipe,
        counts=_counts(Images(images)),
        samples=_samples(artifacts["samples"]),
        real=real_images(Images(images), run.record["recipe"]["evaluate"], REAL),
        sizes={name: artifact.size for name, artifact in artifacts.items()},
        history=run.validations,
        grids={int(file.stem.removeprefix("step-")): file for file in grids},
        trace=_trace(artifacts["trace"]) if "trace" in artifacts else None,
        neighbours=_neighbours(artifacts["neighbours"], images)
        if "neighbours" in artifacts
        else None,
    )


def _counts(images: Images) -> ImageCounts:
    _, height, width = images.shape
    return ImageCounts(len(images.indices("train")), height, width)


def real_images(images: Images, evaluate: Plain | None, most: int) -> Pixels:
    """Some of the real images that scores compare with, evenly from all of them: (N, C, H, W)."""
    indices = images.indices(evaluate["split"] if evaluate else "validation")
    return images.pixels(indices[evenly(len(indices), most)])


def _samples(artifact: Artifact) -> Pixels:
    with reading(artifact.path / files.SAMPLES) as data:
        return np.asarray(data.get("images", np.uint8, 4)[:SAMPLES], np.uint8)


def _trace(artifact: Artifact) -> Trace:
    kinds = {"x": 4, "x0": 4, "image": 3}
    with reading(artifact.path / files.TRACE) as data:
        pixels = {name: data.get(name, np.uint8, count)[:] for name, count in kinds.items()}
        return Trace(**pixels, rates=data.get("rates", np.float64, 2)[:])


def _neighbours(artifact: Artifact, images: Path) -> Neighbours:
    """The distances, and the images nearest to the samples that the page shows."""
    record = files.neighbours_in(artifact.path / files.NEIGHBOURS)
    shown = {i for item in record["items"][:COPIES] for i in item["indices"]}
    with reading(images) as data:
        pixels = data.get("images", np.uint8, 4)
        return Neighbours(record, {i: np.asarray(pixels[i], np.uint8) for i in shown})
