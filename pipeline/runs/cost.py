"""What training costs, measured: steps of an untrained network in a process of its own.

The peak of a process's memory tells something only where it has done nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
import psutil
import torch
from torch import Tensor

from ..diffusion.generate import SampleRequest, generate
from ..diffusion.images import Images, Indices
from ..errors import Failed, InputError, OutOfMemory, fault_of, names_memory
from ..machine import has_memory, reusing_memory
from ..plugin.data import Codec, LatentCodec, x0_shape
from ..plugin.registry import Registry
from ..recipe.load import build_recipe
from ..recipe.schema import Recipe
from ..records import CostRecord, Plain
from ..training.batches import training_batches
from ..training.loop import Training
from ..training.memory import naming_memory, peak_memory
from .requests import scored_request

STEPS, DRAWS = 15, 3
"""Training steps and drawings that are timed, at most. Medians leave out what else a machine
does."""

IMAGES, FEW_STEPS = 32, 2
"""Drawn at a time to time sampling, and the noise levels of the first, which is not timed."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be measured."""

    recipe: Plain
    plugins: Sequence[str]
    """Files of plugins, absolute."""
    device: str
    images: str | None = None
    """The file of prepared images; without it, noise stands in for them."""
    shape: Sequence[int] = ()
    """(C, H, W) of that noise."""
    num_classes: int | None = None
    """The classes of that noise, where the network is told them."""
    threads: int
    steps: int = STEPS
    """How many steps are timed, after a first one."""
    seconds: float | None = None
    """No further step, and no further drawing, is timed after so long; None: all are."""
    num_steps: int | None = None
    """Sampling steps of what is drawn; None: nothing is drawn."""
    draws: int = DRAWS
    """How many drawings are timed."""


class Measured(TypedDict):
    """What was measured."""

    cost: CostRecord
    """Memory is what training takes beyond libraries and images; without drawing,
    ``images_per_second`` is 0."""
    first_step: float
    """Seconds of the first step, in which the network is compiled where the recipe says so."""
    seconds_an_evaluation: float
    """Of the network, for one of many images that are drawn together; the median."""
    steps: list[float]
    """Seconds of each step that was timed."""
    evaluations: list[float]
    """Seconds of an evaluation in each drawing that was timed."""
    taken: int
    """Bytes in all: of the process, or on the GPU."""


def work_of(recipe: Plain, plugins: Sequence[Path], device: str) -> Work:
    """The training of a recipe's plain data, with as many threads as this process has."""
    files = [str(file.absolute()) for file in plugins]
    return Work(recipe=recipe, plugins=files, device=device, threads=torch.get_num_threads())


def measure(work: Work) -> Measured:
    """Raises OutOfMemory where a step gets no memory, and Failed.

    In another process, whose memory is that of the steps alone.
    """
    answer = _asked(work)
    if "failed" in answer:
        raise (OutOfMemory if answer["memory"] else Failed)(answer["failed"])
    return cast("Measured", answer)


def _asked(work: Work) -> Mapping[str, Any]:
    """Have another process measure, and give its answer.

    Not by multiprocessing, which would run the caller's script again where nothing guards it.
    """
    ended = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(asdict(work)),
        text=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # what plugins import
    )
    if ended.returncode == 0:
        answer: Mapping[str, Any] = json.loads(ended.stdout)
        return answer
    if ended.returncode == -signal.SIGKILL or names_memory(ended.stderr):
        raise OutOfMemory(
            f"out of memory with train.batch_size {work.recipe['train']['batch_size']} "
            "(the system ended the process that tried)"
        )
    raise Failed(f"the cost could not be measured:\n{ended.stderr.strip()}")


# In the other process -----------------------------------------------------------------------------


class Noise(Images):
    """Random pixels in place of a prepared dataset: enough images for a step, and one held back."""

    def __init__(
        self, shape: Sequence[int], num_classes: int | None, images_per_step: int, codec: Codec
    ) -> None:
        channels, height, width = shape
        self.image_shape = (channels, height, width)
        self.shape = x0_shape(codec, self.image_shape)
        self.class_names = [str(i) for i in range(num_classes or 0)]
        self.labels = np.arange(images_per_step + 1, dtype=np.int64) % (num_classes or 1)
        self.is_validation = np.arange(images_per_step + 1) == images_per_step
        self.noise = torch.randint(256, (IMAGES, *shape), dtype=torch.uint8)
        self.state: Mapping[str, Tensor] | None = None
        if isinstance(codec, LatentCodec):  # encoded before training: its time does not count
            self.state = codec.fit([self.noise[:2]])
            self.noise = torch.randn(IMAGES, *self.shape)

    @property
    def codec_state(self) -> Mapping[str, Tensor] | None:
        """That of a codec which encodes before training."""
        return self.state

    def resident(self, device: str) -> None:
        """There are too few to be worth it."""

    def hold(self) -> None:
        """They are in memory."""

    def batch(self, indices: Sequence[int] | Indices) -> Tensor:
        """A few images again and again: what they show does not matter."""
        return self.noise[torch.as_tensor(indices) % IMAGES]


def _main() -> None:
    """What stdin asks for, to stdout; what anybody else prints meanwhile goes to stderr."""
    work = Work(**json.load(sys.stdin))
    answers = os.dup(1)
    os.dup2(2, 1)
    os.write(answers, json.dumps(answer_to(work)).encode())


def answer_to(work: Work) -> Mapping[str, Any]:
    """Measure in this process. Where that fails, the answer's ``failed`` says why."""
    try:
        return _measure(work)
    except Exception as error:
        said = str(error) if isinstance(error, Failed | InputError) else fault_of(error)
        if not said:
            raise
        return {"failed": said, "memory": isinstance(error, OutOfMemory)}


def _measure(work: Work) -> Measured:
    torch.set_num_threads(work.threads)
    registry = Registry.load([Path(file) for file in work.plugins])
    recipe = build_recipe(registry, work.recipe, "recipe")
    images = _images(work, recipe)
    images.hold()
    before = 0 if has_memory(work.device) else psutil.Process().memory_info().rss
    with (
        tempfile.TemporaryDirectory() as folder,
        naming_memory(recipe.train, 0, work.device),
        reusing_memory(),  # as in training
    ):
        training = _training(recipe, images, registry, work.device, Path(folder))
        (first,) = _timed(training.one_step, work.device, 1, None)
        seconds = _timed(training.one_step, work.device, work.steps, work.seconds)
    taken = peak_memory(work.device)
    nfe, evaluations = _drawing(training, images, work)
    evaluation = statistics.median(evaluations) if evaluations else 0.0
    cost = CostRecord(
        parameters=sum(p.numel() for p in training.network.parameters()),
        seconds_a_step=statistics.median(seconds),
        images_per_second=1 / (nfe * evaluation) if evaluations else 0.0,
        peak_memory=max(0, taken - before),
    )
    return Measured(
        cost=cost,
        first_step=first,
        seconds_an_evaluation=evaluation,
        steps=seconds,
        evaluations=evaluations,
        taken=taken,
    )


def _images(work: Work, recipe: Recipe) -> Images:
    prepared = Images(Path(work.images)) if work.images else None
    if prepared and not isinstance(recipe.codec, LatentCodec):
        return prepared
    shape = prepared.shape if prepared else work.shape
    classes = len(prepared.class_names) if prepared else work.num_classes
    return Noise(shape, classes, recipe.train.images_per_step, recipe.codec)


def _training(
    recipe: Recipe, images: Images, registry: Registry, device: str, folder: Path
) -> Training:
    batches = training_batches(images.indices("train"), 0, recipe.train)
    return Training(recipe, images, batches, [], registry, device, folder, folder)


def _drawing(training: Training, images: Images, work: Work) -> tuple[int, list[float]]:
    """Evaluations for an image, and seconds of one in each drawing; none without drawing."""
    if work.num_steps is None:
        return 0, []
    training.model.network.eval()
    request = replace(scored_request(training.recipe, images), seed=0, batch_size=IMAGES)
    request = replace(request, num_steps=work.num_steps, guidance_scale=1.0)  # of this network
    _draw(training, replace(request, num_steps=FEW_STEPS))
    times = _timed(lambda: _draw(training, request), work.device, work.draws, work.seconds)
    return request.nfe, [seconds / IMAGES / request.nfe for seconds in times]


def _draw(training: Training, request: SampleRequest) -> None:
    for batch in generate(training.model, request, range(IMAGES)):
        batch.sum()


def _timed(work: Callable[[], None], device: str, times: int, limit: float | None) -> list[float]:
    """Seconds of each time, as many as there is time for."""
    seconds: list[float] = []
    while len(seconds) < times and (limit is None or sum(seconds) < limit):
        started = time.perf_counter()
        work()
        if device != "cpu":
            torch.accelerator.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    _main()
