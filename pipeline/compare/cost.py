"""What a variant costs: seconds a step, images a second, memory, parameters."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import torch

from ..artifacts.prepare import read_images
from ..artifacts.trajectory import trajectory_of
from ..diffusion.generate import SampleRequest, generate
from ..diffusion.images import Images
from ..errors import Failed
from ..machine import machine
from ..plugin.registry import Registry
from ..progress import note
from ..recipe.load import build_recipe
from ..recipe.schema import Recipe
from ..records import CostRecord, Plain
from ..runs.requests import scored_request
from ..store.store import Artifact
from ..training.batches import training_batches
from ..training.loop import Training
from .setting import Setting
from .variants import Variant

WARM_UP, STEPS = 2, 15
"""Training steps that are not timed, and that are."""

IMAGES, DRAWS = 32, 3
"""Drawn at a time to time sampling, and how often. Medians leave out what else a machine does."""

COST = "cost.json"


def measure_cost(variant: Variant, images: Artifact, setting: Setting) -> CostRecord:
    """Parameters, seconds a step (median), images drawn a second, and peak memory.

    Measured once on a machine, of an untrained network, in a process of its own. Memory is in bytes
    and of training: the device's on a GPU, on a CPU what the process takes beyond data and
    libraries.
    """
    session, recipe = setting.session, variant.loaded.recipe
    reader = read_images(images)
    request = scored_request(recipe, reader)
    trajectory = trajectory_of(recipe, session.registry, images)
    ingredients = {
        **{k: v for k, v in trajectory.items() if k != "seed"},
        "sampler": session.registry.describe(request.sampler),
        "guidance_scale": request.guidance_scale,
        "num_steps": setting.num_steps or request.num_steps,
        "device": session.device,
        "machine": machine(session.device),
    }

    def build(folder: Path) -> None:
        note("measuring seconds a step, images a second and memory of an untrained network")
        plugins = [str(file.absolute()) for file in setting.plugins]
        steps, device = setting.num_steps, session.device
        data, file = variant.loaded.data, str(reader.path)
        _measure_apart([data, file, steps, plugins, device, str(folder / COST)])

    artifact = session.store.get_or_build("cost", ingredients, build)
    cost: CostRecord = json.loads((artifact.path / COST).read_text())
    return cost


def _measure_apart(arguments: list[object]) -> None:
    """``_main`` in another process: a peak is of one that must not have done anything else.

    Not by multiprocessing, which would run the caller's script again where nothing guards it.
    """
    ended = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(arguments),
        text=True,
        capture_output=True,
    )
    if ended.returncode:
        raise Failed(f"the cost could not be measured:\n{ended.stderr.strip()}")


def _main() -> None:
    """What stdin asks for, into the file that it names."""
    data, file, num_steps, plugins, device, result = json.load(sys.stdin)
    cost = _measure(data, Images(Path(file)), num_steps, [Path(p) for p in plugins], device)
    Path(result).write_text(json.dumps(cost))


def _measure(
    data: Plain, images: Images, num_steps: int | None, plugins: Sequence[Path], device: str
) -> CostRecord:
    registry = Registry.load(plugins)
    recipe = build_recipe(registry, data, "recipe")
    images.batch(range(1))
    before = psutil.Process().memory_info().rss
    with tempfile.TemporaryDirectory() as folder:
        training = _training(recipe, images, registry, device, Path(folder))
        seconds = [_timed(training.one_step, device) for _ in range(WARM_UP + STEPS)][WARM_UP:]
    peak = _peak(device, before)
    training.model.network.eval()
    request = replace(scored_request(recipe, images), seed=0, batch_size=IMAGES)
    request = replace(request, num_steps=num_steps or request.num_steps)
    _draw(training, replace(request, num_steps=2))
    drawing = [_timed(lambda: _draw(training, request), device) for _ in range(DRAWS)]
    return {
        "parameters": sum(p.numel() for p in training.network.parameters()),
        "seconds_a_step": statistics.median(seconds),
        "images_per_second": IMAGES / statistics.median(drawing),
        "peak_memory": peak,
    }


def _training(
    recipe: Recipe, images: Images, registry: Registry, device: str, folder: Path
) -> Training:
    batches = training_batches(images.indices("train"), 0, recipe.train)
    return Training(recipe, images, batches, [], registry, device, folder, folder)


def _draw(training: Training, request: SampleRequest) -> None:
    for batch in generate(training.model, request, range(IMAGES)):
        batch.sum()


def _timed(work: Callable[[], None], device: str) -> float:
    started = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _peak(device: str, before: int) -> int:
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2)
    return max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before)


if __name__ == "__main__":
    _main()
