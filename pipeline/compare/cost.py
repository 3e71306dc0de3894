"""What a variant costs: seconds a step, images a second, memory, parameters."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from ..artifacts.prepare import FILE
from ..artifacts.train import trajectory_of
from ..diffusion.generate import generate
from ..diffusion.images import Images
from ..errors import Failed
from ..machine import machine
from ..plugin.registry import Registry
from ..progress import note
from ..recipe.load import build_recipe
from ..runs.run import scored_of
from ..store.store import Artifact, Store
from ..training.batches import Batches
from ..training.loop import Training

WARM_UP, STEPS = 2, 15
"""Training steps that are not timed, and that are."""

IMAGES, DRAWS = 32, 3
"""Drawn at a time to time sampling, and how often. Medians leave out what else a machine does."""

RESULT = "cost.json"

Cost = dict[str, Any]


def measure(
    data: Mapping[str, Any],
    images: Artifact,
    num_steps: int | None,
    plugins: Sequence[Path],
    registry: Registry,
    store: Store,
    device: str,
) -> Cost:
    """``parameters``, ``seconds_a_step`` (median), ``images_per_second`` drawn, ``peak_memory``.

    Measured once on a machine, of an untrained network, in a process of its own. Memory is in bytes
    and of training: the device's on a GPU, on a CPU what the process takes beyond data and
    libraries.
    """
    recipe = build_recipe(registry, data, str(data["name"]))
    order = scored_of(recipe, Images(images.path / FILE))
    ingredients = {
        **{k: v for k, v in trajectory_of(recipe, registry, images).items() if k != "seed"},
        "sampler": registry.describe(order.sampler),
        "guidance_scale": order.guidance_scale,
        "num_steps": num_steps or order.num_steps,
        "device": device,
        "machine": machine(device),
    }

    def write(folder: Path) -> None:
        note("measuring seconds a step, images a second and memory of an untrained network")
        file, places = str(images.path / FILE), [str(place.absolute()) for place in plugins]
        given = [data, file, num_steps, places, device, str(folder / RESULT)]
        # A peak is of a whole process, which must not have done anything else. Not by
        # multiprocessing, which would run the caller's script again where nothing guards it.
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            input=json.dumps(given),
            text=True,
            capture_output=True,
        )
        if done.returncode:
            raise Failed(f"the cost could not be measured:\n{done.stderr.strip()}")

    made = store.get_or_build("cost", ingredients, write)
    found: Cost = json.loads((made.path / RESULT).read_text())
    return found


def _measure(
    data: Mapping[str, Any], path: Path, num_steps: int | None, plugins: Sequence[Path], device: str
) -> Cost:
    registry = Registry.load(plugins)
    recipe = build_recipe(registry, data, "recipe")
    images = Images(path)
    settings = recipe.train
    batches = Batches(images.indices("train"), 0, settings.batch_size, settings.repeats)
    images.batch(range(1))
    before = psutil.Process().memory_info().rss
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        training = Training(recipe, registry, images, batches, [], device, place, place)
        seconds = [_timed(training.one_step, device) for _ in range(WARM_UP + STEPS)][WARM_UP:]
    peak = _peak(device, before)
    order = scored_of(recipe, images)

    def draw(count: int, steps: int) -> None:
        made = generate(
            training.model,
            order.sampler,
            steps,
            range(count),
            spacing=order.spacing,
            labels=order.labels,
            guidance_scale=order.guidance_scale,
            seed=0,
            purpose="evaluate",
            batch_size=count,
        )
        for batch in made:
            batch.sum()

    steps = num_steps or order.num_steps
    training.model.network.eval()
    draw(IMAGES, 2)
    drawing = [_timed(lambda: draw(IMAGES, steps), device) for _ in range(DRAWS)]
    return {
        "parameters": sum(p.numel() for p in training.network.parameters()),
        "seconds_a_step": statistics.median(seconds),
        "images_per_second": IMAGES / statistics.median(drawing),
        "peak_memory": peak,
    }


def _timed(work: Any, device: str) -> float:
    import torch

    started = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _peak(device: str, before: int) -> int:
    import torch

    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
    return max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before)


def _main() -> None:
    """What stdin asks for, into the file that it names."""
    data, file, num_steps, plugins, device, result = json.load(sys.stdin)
    found = _measure(data, Path(file), num_steps, [Path(place) for place in plugins], device)
    Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    _main()
