"""``pipeline export``: a run as a folder or a zip that others can use without its store."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import torch
from torch import Tensor

from ..errors import InputError
from ..records import ExportedRecord, RunRecord
from ..store.checked import write_json
from ..store.folders import fsync, make_folder, private, replacing, write_text
from ..store.manifest import MANIFEST
from ..store.weights import read_weights, without_prefix, write_weights
from .card import CARD, card
from .diffusers import write_diffusers
from .exported import IMAGE_FACTS, PARTS, digests_in, part_record
from .finished import Run, finished_run
from .layout import RECIPE, RUN
from .live import RUN_PAGE
from .onnx import SUFFIX, write_onnx
from .resolve import ZIP
from .results import ExportResult

KEPT = (RECIPE, "history.jsonl", "scores.json", "samples.png", RUN_PAGE)
"""What is taken from the run's folder as it is, with the copies of its plugin files."""


def export(
    run: str | Path,
    out: Path,
    *,
    half: bool = False,
    raw: bool = False,
    images: bool = False,
    about: Path | None = None,
    to: Literal["run", "onnx", "diffusers"] = "run",
    store: Path | None = None,
    plugins: Sequence[Path] = (),
) -> ExportResult:
    """Write a finished run into a new folder, or a new zip if ``out`` ends in ``.zip``.

    It holds the averaged weights of the best checkpoint with all stages, class names and the state
    of the codec; the recipe, the copies of plugin files, versions, scores with their protocol, the
    page, and a model card. Every command that takes a run takes it, on any machine.

    - ``half``: weights as float16, half the size.
    - ``raw``: the weights that were averaged too.
    - ``images``: the prepared images too, all of them, which scores are compared with.
    - ``about``: a Markdown file whose text the card has on the data and the licence.
    - ``to``: ``onnx`` writes the network alone into a new file, ``….onnx``; ``diffusers`` a folder
      that diffusers loads as a ``DDIMPipeline``. ``plugins`` are the plugin files that this run was
      made with.

    InputError where there is no such run, or ``out`` is there.
    """
    out = out.expanduser()
    if out.exists() or out.is_symlink():
        raise InputError(f"{out} is there already: take another name")
    opened = finished_run(run, store=store, plugins=plugins, device="cpu")
    if to != "run":
        if half or raw or images or about:
            raise InputError(
                f"--half, --raw, --images, --about: have no effect with --to {to}; omit them"
            )
        return _for_others(opened, out, to)
    words = _read(about) if about else None
    with _new(out) as folder:
        record = _written(opened, folder, half, raw, images, words)
    told = record["exported"]
    return {
        "run": opened.name,
        "path": str(out),
        "size": _size(out),
        "weights": told["weights"],
        "dtype": told["dtype"],
        "images": "images" in record["artifacts"],
        "plugins": list(record.get("plugin_files", {})),
    }


def _read(about: Path) -> str:
    try:
        return about.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--about: {about}: cannot be read as text: {error}") from error


def _for_others(run: Run, out: Path, to: Literal["onnx", "diffusers"]) -> ExportResult:
    if to == "onnx" and out.suffix != SUFFIX:
        raise InputError(f"{out}: should end in {SUFFIX}, such as {out}{SUFFIX}")
    if to == "diffusers" and out.suffix == ZIP:
        raise InputError(f"{out}: should be a folder, which diffusers loads")
    make_folder(out.parent)
    (write_onnx if to == "onnx" else write_diffusers)(run, out)
    return {
        "run": run.name,
        "path": str(out),
        "size": _size(out),
        "weights": ["ema"],
        "dtype": "float32",
        "images": False,
        "plugins": [],
    }


def _size(out: Path) -> int:
    return sum(p.stat().st_size for p in ([out] if out.is_file() else out.rglob("*")))


@contextmanager
def _new(out: Path) -> Iterator[Path]:
    """An empty folder that becomes ``out``, packed where that is a zip, if no error ends it."""
    if out.suffix != ZIP:
        with private(out) as folder:
            yield folder
        return
    make_folder(out.parent)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as unpacked:
        folder = Path(unpacked)
        yield folder
        with replacing(out) as partial, ZipFile(partial, "w") as zipped:
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                dense = file.suffix in (".safetensors", ".h5", ".png")  # packing shrinks them not
                how = ZIP_STORED if dense else ZIP_DEFLATED
                zipped.write(file, file.relative_to(folder).as_posix(), how)


def _written(
    run: Run, folder: Path, half: bool, raw: bool, images: bool, about: str | None
) -> RunRecord:
    """Fill the folder. Returns its ``run.json``."""
    weights = ["ema", "raw"] if raw else ["ema"]
    _write_model(run, folder / "model", weights, half)
    if images:
        source = run.artifact("images").path
        shutil.copytree(source, folder / "images", ignore=shutil.ignore_patterns(MANIFEST))
    for name in (*KEPT, *run.record.get("plugin_files", {})):
        if (run.folder / name).is_file():
            make_folder((folder / name).parent)
            shutil.copyfile(run.folder / name, folder / name)
    write_text(folder / CARD, card(run.record, run.validations, half, about))
    files = digests_in(folder)
    dtype = "float16" if half else "float32"
    model = run.record["artifacts"]["model"]["key"]
    exported: ExportedRecord = {"model": model, "weights": weights, "dtype": dtype}
    parts = [part for part in PARTS if (folder / part).is_dir()]
    record = {
        **run.record,
        "store": ".",
        "artifacts": {part: part_record(part, files) for part in parts},
        "plugins": [],
        "files": files,
        "exported": exported,
    }
    write_json(folder / RUN, record)
    for file in folder.rglob("*"):
        if file.is_file():
            fsync(file)
    return cast("RunRecord", record)


def _write_model(run: Run, folder: Path, weights: list[str], half: bool) -> None:
    """The best checkpoint's weights of these kinds, and what is known of the images."""
    make_folder(folder)
    tensors, facts = read_weights(run.artifact("model").path / "best")
    for kind in weights:
        if not without_prefix(kind, tensors):
            raise InputError(f"{run.name}: has no {kind} weights; leave out --{kind}")
    kept = {
        name: _halved(name, tensor) if half and not name.startswith("codec.") else tensor
        for name, tensor in tensors.items()
        if name.split(".")[0] in (*weights, "codec")
    }
    write_weights(folder / "best", kept, facts)
    write_json(folder / IMAGE_FACTS, run.image_facts().plain())


def _halved(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.to(torch.float16)
    if not half.isfinite().all():
        raise InputError(f"--half: {name} has numbers beyond float16; export it without")
    return half
