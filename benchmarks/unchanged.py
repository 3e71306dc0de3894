"""Does another revision of this project compute the same, to the bit?

    python benchmarks/unchanged.py main~1 --data data

trains, samples, scores, compares and inverts with REVISION and with this working tree, each on one
thread and both at the same time, and compares weights, images, features and scores byte by byte.
About 25 minutes on two cores. Nothing is recorded: digests differ between processors, so both
revisions always run on the same machine. Exit code 1 where something differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[1]

VOLATILE = {"seconds", "data_seconds", "images_per_second"}
"""Of a validation's record: the machine's speed."""

TINY = """\
name: tiny
dataset: {name: procedural_flowers, num_images: 160, size: 16}
augment: [horizontal_flip]
features: efficientnet_lite0
schedule: cosine
objective: denoising
backbone: {name: residual_unet, widths: [8, 16], block_depth: 1}
train:
  max_steps: 60
  batch_size: 16
  validate: {every: 20 steps, num_images: 24, grid: [4, 2], metrics: [kid]}
sample: {num_steps: 8, num_images: 12, grid: [4, 3]}
evaluate: {num_steps: 8, num_images: 40, metrics: [kid, fid]}
"""

CLASSES = """\
extends: tiny.yaml
name: classes
objective: {prediction: v, loss: mse}
train: {condition: class, drop_label: 0.2, clip_gradients: 1.0, validate: {spacing: log_snr}}
sample: {guidance_scale: 2, spacing: karras}
evaluate: {guidance_scale: 1.5, sampler: ddpm, spacing: uniform}
"""

INVERT = """\
from pathlib import Path
import numpy
try:
    from pipeline.commands import invert, reconstruct
except ImportError:  # where they stood before
    from pipeline import invert, reconstruct
images = sorted(Path("drawn/images").glob("*.png"))[:4]
noise = invert("quickstart", images, num_steps=10, device="cpu")
again = reconstruct("quickstart", noise, num_steps=10, device="cpu")
numpy.savez("inverted.npz", noise=noise.numpy(), again=again.numpy())
"""


def jobs(tree: Path, data: Path) -> dict[str, list[str]]:
    """What each revision does, in this order: name -> command."""
    pipeline = [sys.executable, "-m", "pipeline"]
    run, cpu = [*pipeline, "run"], ["--device", "cpu"]
    flowers = [
        "train.max_steps=300",
        "train.batch_size=16",  # a quarter of the recipe's time, by the same code
        f"dataset.root={data}",
        "features=efficientnet_lite0",
        "train.repeats=1",  # validation passes over its images as often
        "train.validate.every=300 steps",
        "train.validate.num_images=64",
        "evaluate.num_images=100",
    ]
    changes = [word for change in flowers for word in ("--set", change)]
    swap = ["--swap", "backbone.upsampler=bilinear,transposed_conv"]
    return {
        "run classes": [*run, "classes.yaml", *cpu],
        "run quickstart": [*run, str(tree / "recipes/quickstart.yaml"), *cpu],
        "run flowers": [
            *run, str(tree / "recipes/flowers32_ddim.yaml"), *changes, "--name", "flowers", *cpu,
        ],
        "compare": [
            *pipeline, "compare", "tiny.yaml", *swap, "--seeds", "2", "--name", "compared",
            "--json", *cpu,
        ],
        "sample": [
            *pipeline, "sample", "quickstart", "--num-images", "8", "--sampler", "ddpm",
            "--seed", "3", "--spacing", "log_snr", "--out", "drawn", *cpu,
        ],
        "sample classes": [
            *pipeline, "sample", "classes", "--classes", "0,1", "--guidance-scale", "3",
            "--interpolate", "4", "--weights", "raw", "--out", "drawn_by_class", *cpu,
        ],
        "evaluate": [
            *pipeline, "evaluate", "quickstart", "--metric", "kid", "--metric", "fid",
            "--metric", "precision_recall", "--num-images", "64", "--spacing", "karras",
            "--num-steps", "5", "--json", *cpu,
        ],
        "evaluate folders": [
            *pipeline, "evaluate", "drawn/images", "--against", "drawn_by_class/images",
            "--features", "efficientnet_lite0", "--size", "32", "--json", *cpu,
        ],
        "invert": [sys.executable, "-c", INVERT],
    }  # fmt: skip


def environment(tree: Path, meta: Path) -> dict[str, str]:
    """One thread, and the tree's own code with its own entry points before what is installed."""
    project = tomllib.loads((tree / "pyproject.toml").read_text())["project"]
    about = meta / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    points = [f"{k} = {v}" for k, v in project["entry-points"]["pipeline"].items()]
    (about / "entry_points.txt").write_text("\n".join(["[pipeline]", *points]) + "\n")
    paths = [meta, tree, tree / "plugins"]
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    store = {name: text for name, text in os.environ.items() if name != "PIPELINE_STORE"}
    return {**store, **threads, "PYTHONPATH": os.pathsep.join(map(str, paths))}


def work(name: str, tree: Path, folder: Path, data: Path, only: set[str]) -> None:
    """Do all jobs of one revision in an empty folder."""
    folder.mkdir(parents=True)
    (folder / "tiny.yaml").write_text(TINY)
    (folder / "classes.yaml").write_text(CLASSES)
    given = environment(tree, folder / "meta")
    for job, command in jobs(tree, data).items():
        if only and job not in only:
            continue
        started = time.monotonic()
        done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{name}: {job} failed\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        (folder / f"{job.replace(' ', '-')}.out").write_text(done.stdout)
        print(f"{name}: {job}, {time.monotonic() - started:.0f} s", flush=True)


def outcome(folder: Path) -> dict[str, str]:
    """What came out -> its digest. Artifacts go by kind and content: their keys name code too."""
    found: dict[str, str] = {}
    for kind in sorted(p for p in folder.glob(".pipeline/artifacts/*") if p.name != "cost"):
        contents = sorted(_digest(_contents(artifact)) for artifact in kind.iterdir())
        found |= {f"artifact {kind.name} {i}": digest for i, digest in enumerate(contents)}
    for run in sorted(p.parent for p in folder.glob("runs/*/run.json")):
        found[f"history of {run.name}"] = _digest(_history(run / "history.jsonl"))
        found[f"scores of {run.name}"] = _digest(json.loads((run / "scores.json").read_text()))
        found[f"pictures of {run.name}"] = _digest(dict(_pixels(run)))
    for drawn in sorted(folder.glob("drawn*")):
        found[drawn.name] = _digest(dict(_pixels(drawn)))
    for name in ("evaluate", "evaluate-folders"):
        if (file := folder / f"{name}.out").exists():
            scores = json.loads(file.read_text())["scores"]
            found[name] = _digest({metric: _numbers(score) for metric, score in scores.items()})
    if (file := folder / "runs/compared/compare.json").exists():
        data = json.loads(file.read_text())
        scores = [variant["scores"] for variant in data["variants"]]
        found["compare"] = _digest([data["pairs"], data["metrics"], data["seeds"], scores])
    if (file := folder / "inverted.npz").exists():
        found["invert"] = _digest({name: _array(array) for name, array in np.load(file).items()})
    return found


def _contents(artifact: Path) -> dict[str, Any]:
    """Tensors, datasets and pictures of an artifact, without what tells when or by which code."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".safetensors": lambda file: {k: _array(v) for k, v in load_file(file).items()},
        ".h5": lambda file: dict(_datasets(file)),
        ".png": _pixels_of,
        ".jsonl": _history,
    }
    files = sorted(p for p in artifact.rglob("*") if p.suffix in readers)
    found = {str(p.relative_to(artifact)): readers[p.suffix](p) for p in files}
    for name in ("score.json", "neighbours.json"):
        if (artifact / name).exists():
            found[name] = _numbers(json.loads((artifact / name).read_text()))
    return found


def _numbers(record: dict[str, Any]) -> dict[str, Any]:
    """A score without what only newer revisions tell of how a folder's images were prepared."""
    protocol = {k: v for k, v in record.get("protocol", {}).items() if k != "folders"}
    return {**record, "protocol": protocol}


def _datasets(file: Path) -> Iterator[tuple[str, Any]]:
    with h5py.File(file) as opened:
        for name, data in opened.items():
            text = data.dtype.kind == "O"
            yield name, data.asstr()[:].tolist() if text else _array(data[:])


def _history(file: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in file.read_text().splitlines()]
    return [{k: v for k, v in record.items() if k not in VOLATILE} for record in records]


def _pixels(folder: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(folder.rglob("*.png")):
        yield str(file.relative_to(folder)), _pixels_of(file)


def _pixels_of(file: Path) -> str:
    with Image.open(file) as image:
        return _array(np.array(image))


def _array(array: Any) -> str:
    head = f"{array.dtype} {array.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def compare(before: dict[str, str], after: dict[str, str]) -> int:
    """Print what is equal and what differs; how many differ."""
    differing = 0
    for name in sorted(before.keys() | after.keys()):
        a, b = before.get(name, "not there"), after.get(name, "not there")
        differing += a != b
        print(f"{'equal  ' if a == b else 'DIFFERS'}  {name:40}  {a}" + f"  {b}" * (a != b))
    print(f"{len(before)} results, {differing} differ")
    return differing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("revision", help="what to compare with, such as main~1")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="holds flowers-102/")
    parser.add_argument("--only", action="append", default=[], help="one job; repeatable")
    parser.add_argument("--keep", type=Path, help="keep REVISION's outcome here for next time")
    given = parser.parse_args()
    only, data = set(given.only), given.data.absolute()
    if unknown := only - jobs(ROOT, data).keys():
        parser.error(f"no job is called {', '.join(unknown)}: {', '.join(jobs(ROOT, data))}")
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.check_output([*git, "rev-parse", given.revision], text=True).strip()
    with tempfile.TemporaryDirectory() as temporary:
        base, place = Path(temporary) / "tree", Path(temporary)
        kept = given.keep and given.keep / f"{commit}-{'-'.join(sorted(only)) or 'all'}.json"
        sides = {"now": ROOT}
        if not (kept and kept.exists()):
            sides = {"before": base, **sides}
        subprocess.run([*git, "worktree", "add", "-q", "--detach", str(base), commit], check=True)
        try:
            with ThreadPoolExecutor(len(sides)) as pool:
                for future in [
                    pool.submit(work, name, tree, place / name, data, only)
                    for name, tree in sides.items()
                ]:
                    future.result()
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(base)], check=True)
        found = {name: outcome(place / name) for name in sides}
        if "before" not in found:
            found["before"] = json.loads(kept.read_text())
        elif kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(found["before"]))
    sys.exit(1 if compare(found["before"], found["now"]) else 0)


if __name__ == "__main__":
    main()
