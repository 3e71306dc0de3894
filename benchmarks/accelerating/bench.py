"""What all parts of the benchmark share: recipes, images, trainings, and how they are timed."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.artifacts.prepare import prepare, read_images
from pipeline.artifacts.session import Session
from pipeline.diffusion.generate import SampleRequest, generate
from pipeline.diffusion.images import Images, Indices
from pipeline.diffusion.model import Model
from pipeline.machine import has_memory
from pipeline.plugin.registry import Registry
from pipeline.recipe.load import load
from pipeline.recipe.schema import Recipe
from pipeline.runs.requests import pictures_request
from pipeline.store.store import Store
from pipeline.training.batches import training_batches
from pipeline.training.loop import Training


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    pixels: int
    batch: int
    images: int
    networks: dict[str, str]
    """The backbones by their names; "" is that of the recipe."""
    seconds: float
    """About how long each thing is repeated."""
    steps: int
    """Of the trainings that are compared or drawn from."""
    drawn: int
    """Images whose equality with the CPU's is looked at: the CPU has to draw them too."""


FULL = Sizes(
    64, 64, 400, {"residual_unet": "", "adm_unet": "adm_unet", "dit": "dit"}, 2.0, 20, drawn=8
)
SMALL = Sizes(
    16,
    4,
    24,
    {
        "residual_unet": "{name: residual_unet, widths: [8, 8], block_depth: 1}",
        "adm_unet": "{name: adm_unet, widths: [8], block_depth: 1, head_width: 8}",
        "dit": "{name: dit, width: 16, depth: 1, heads: 2}",
    },
    0.02,
    4,
    drawn=2,
)


@dataclass(frozen=True)
class Bench:
    """The device, the sizes, and a folder for all that is written."""

    device: str
    small: bool
    folder: Path
    minutes: float = 0.0
    """How long the book's recipe is trained."""
    data: Path | None = None
    """The folder that holds ``flowers-102``; None: the recipe is trained on drawings."""

    @property
    def sizes(self) -> Sizes:
        return SMALL if self.small else FULL

    @property
    def on_a_cpu(self) -> bool:
        return torch.device(self.device).type == "cpu"

    @cached_property
    def session(self) -> Session:
        return Session(Registry.load(), Store(self.folder / "store"), self.device)

    @cached_property
    def images(self) -> Images:
        return read_images(prepare(self.recipe("residual_unet"), self.session))

    @cached_property
    def trained(self) -> Model:
        """The book's network after a few steps, without which it would draw nothing but noise."""
        training = self.training("residual_unet")
        for _ in range(self.sizes.steps):
            training.one_step()
        return training.model.of(training.network.eval())

    @cached_property
    def on_the_cpu(self) -> Tensor:
        """What the CPU draws with that network in float32."""
        state = {name: value.cpu() for name, value in self.trained.codec_state.items()}
        recipe, shape = self.recipe("residual_unet"), self.trained.shape
        network = recipe.backbone(shape, None).to(memory_format=torch.channels_last).eval()
        network.load_state_dict(self.trained.network.state_dict())
        model = replace(self.trained, network=network, codec_state=state, device="cpu")
        return draw(model, self.request(self.sizes.drawn))

    def recipe(self, network: str, *changes: str) -> Recipe:
        """The book's recipe with another network, in our sizes, on drawings."""
        count, pixels = self.sizes.images, self.sizes.pixels
        backbone = self.sizes.networks[network]
        return self._book(
            f"dataset={{name: procedural_flowers, num_images: {count}, size: {pixels}}}",
            f"preprocess.resize.size={pixels}",
            f"train.batch_size={self.sizes.batch}",
            "train.validate.grid=[2, 1]",
            *([f"backbone={backbone}"] if backbone else []),
            *changes,
        )

    @cached_property
    def book(self) -> Recipe:
        """The book's recipe: of its photos, if we have them."""
        if self.data:
            root = json.dumps(str(self.data))
            return self._book(f"dataset={{name: flowers102, root: {root}, download: false}}")
        return self.recipe("residual_unet") if self.small else self._book(DRAWINGS)

    def _book(self, *changes: str) -> Recipe:
        features = "features=efficientnet_lite0"  # the book's own would be downloaded
        return load("flowers_ddim", [features, *changes], registry=self.session.registry).recipe

    def training(
        self,
        network: str,
        *changes: str,
        images: Images | None = None,
        folder: Path | None = None,
    ) -> Training:
        """A training of this network, new unless its folder has a checkpoint."""
        recipe, images = self.recipe(network, *changes), images or self.images
        batches = training_batches(images.indices("train"), recipe.seed, recipe.train)
        folder = folder or self.new_folder()
        registry, views = self.session.registry, folder / "views"
        return Training(recipe, images, batches, [], registry, self.device, folder, views)

    def new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder))

    def request(self, count: int, precision: str = "float32") -> SampleRequest:
        """So many images as the book's recipe draws them: ddim, 20 steps."""
        request = pictures_request(self.recipe("residual_unet"), None)
        return replace(request, num_images=count, batch_size=count, precision=precision)

    def seconds_of(self, work: Callable[[], object]) -> float:
        """Seconds of one call, whose work on the device is waited for."""
        started = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - started

    def repeated(self, *works: Callable[[], object]) -> list[list[float]]:
        """Seconds of a call of each, up to five times, as long as there is time.

        Many calls of a kind follow each other, and only the last is waited for. Kinds take turns,
        so that what else a machine does slows all of them.
        """
        ends = time.monotonic() + self.sizes.seconds * len(works)
        for work in works:
            work()  # warms up
        found = [[self.seconds_of(work)] for work in works]
        if time.monotonic() > ends:
            return found
        share = self.sizes.seconds / 5
        counts = [max(1, min(100, int(share / first))) for (first,) in found]
        found = [[] for _ in works]
        while not found[0] or (len(found[0]) < 5 and time.monotonic() < ends):
            for seconds, work, count in zip(found, works, counts, strict=True):
                seconds.append(self.seconds_of(partial(_times, count, work)) / count)
        return found

    def wait(self) -> None:
        """Until the device has done all that it was given."""
        if not self.on_a_cpu:
            torch.accelerator.synchronize(self.device)

    def forget_peak(self) -> None:
        """Count the device's memory anew."""
        if module := self._memory:
            torch.empty(1, device=self.device)  # there is nothing to reset before the first use
            module.empty_cache()
            module.reset_peak_memory_stats(self.device)

    @property
    def peak(self) -> int | None:
        """The most bytes of the device's memory since then; None: it has none that is counted."""
        return self._memory.max_memory_allocated(self.device) if self._memory else None

    @property
    def _memory(self) -> Any:
        kind = torch.device(self.device).type
        return getattr(torch, kind) if has_memory(self.device) else None


DRAWINGS = "dataset={name: procedural_flowers, num_images: 2000}"


def _times(count: int, work: Callable[[], object]) -> None:
    for _ in range(count):
        work()


def draw(model: Model, request: SampleRequest) -> Tensor:
    """All images that are asked for, uint8 (N, C, H, W) on the CPU."""
    return torch.cat(list(generate(model, request, range(request.num_images))))


class ReadAhead(Images):
    """Images that never stay on the device: a thread reads the next batch meanwhile."""

    def resident(self, device: str) -> None:
        """None of them."""


class FromFile(ReadAhead):
    """The same of images that are too many for the machine's memory."""

    def batch(self, indices: Sequence[int] | Indices) -> Tensor:
        """Each read from the file."""
        return torch.from_numpy(self.pixels(indices))
