"""The three loops that peers.py lets take turns: ours, a bare one of torch, diffusers' example.

Each function builds all that its loop needs and returns one step of it. Torch and what stands on
it is imported where it is used, so that a process that starts one peer pays for that one alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn

Step = Callable[[], object]


class Setting(NamedTuple):
    """What all peers are given; ``folder`` has the prepared images and the network's options."""

    folder: str
    size: int
    batch: int
    widths: list[int]
    num_images: int
    threads: int

    def file(self, name: str) -> Path:
        return Path(self.folder) / name


class Prepared(NamedTuple):
    """This project's recipe with its images, read from the store."""

    recipe: Any
    registry: Any
    images: Any


def prepared(setting: Setting) -> Prepared:
    from pipeline.artifacts.prepare import prepare, read_images
    from pipeline.artifacts.session import Session
    from pipeline.plugin.registry import Registry
    from pipeline.recipe.load import load
    from pipeline.store.store import Store

    registry = Registry.load([])
    size, batch = setting.size, setting.batch
    overrides = [
        f"dataset={{name: procedural_flowers, num_images: {setting.num_images}, size: {size}}}",
        f"preprocess.resize.size={size}",
        "features=efficientnet_lite0",
        "augment=[horizontal_flip]",
        "objective.loss=mse",
        f"backbone={{name: unet2d, widths: {setting.widths}}}",
        f"train.batch_size={batch}",
    ]
    recipe = load("flowers_ddim", overrides, registry=registry).recipe
    session = Session(registry, Store(setting.file("store")))
    return Prepared(recipe, registry, read_images(prepare(recipe, session)))


def ours(setting: Setting) -> Step:
    from pipeline.training.batches import training_batches
    from pipeline.training.loop import Training

    recipe, registry, images = prepared(setting)
    batches = training_batches(images.indices("train"), recipe.seed, recipe.train)
    folder = setting.file("training")
    loop = Training(recipe, images, batches, [], registry, "cpu", folder, folder / "views")
    return loop.one_step


def unet(setting: Setting) -> nn.Module:
    """The network that the plugin makes, without the plugin."""
    from diffusers import UNet2DModel

    network = UNet2DModel(**json.loads(setting.file("network.json").read_text()))
    network.mid_block.attentions[0].to_k.bias = None
    return network


def bare(setting: Setting) -> Step:
    """What a step has to do, in functions of torch."""
    import numpy as np
    import torch

    images = torch.from_numpy(np.load(setting.file("images.npy")))
    mean, std = (f(images.float() / 255, (0, 2, 3), keepdim=True) for f in (torch.mean, torch.std))
    network = unet(setting).to(memory_format=torch.channels_last)
    average = deepcopy(network).requires_grad_(False)
    followed = list(average.parameters()), [p.detach() for p in network.parameters()]
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-4, fused=True)
    no_class = torch.zeros(setting.batch, dtype=torch.int64)
    chosen = orders(len(images), setting.batch)
    start, end = math.acos(0.95), math.acos(0.02)

    def step() -> None:
        batch = images[next(chosen)]
        batch = torch.where(torch.rand(len(batch), 1, 1, 1) < 0.5, batch.flip(-1), batch)
        x0 = ((batch.float() / 255 - mean) / std).to(memory_format=torch.channels_last)
        angle = start + torch.rand(len(x0)) * (end - start)
        signal, noise = angle.cos()[:, None, None, None], angle.sin()[:, None, None, None]
        eps = torch.randn_like(x0)
        # The plugin's timesteps: 0 to 1000, linear in log_snr.
        times = 500 - 50 * (signal / noise).log().flatten()
        out = network(signal * x0 + noise * eps, times, no_class).sample
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(out, eps).backward()
        optimizer.step()
        torch._foreach_lerp_(*followed, 1e-3)

    return step


def orders(total: int, batch: int) -> Iterator[Tensor]:
    """The indices of each batch: shuffled passes without end, the rest of each dropped."""
    import torch

    while True:
        shuffled = torch.randperm(total)
        yield from shuffled[: total // batch * batch].split(batch)


def diffusers_example(setting: Setting) -> Step:
    """What train_unconditional.py does in a step, with its defaults where no other peer differs."""
    import torch
    from accelerate import Accelerator
    from diffusers import DDPMScheduler, UNet2DModel
    from diffusers.optimization import get_scheduler
    from diffusers.training_utils import EMAModel

    accelerator = Accelerator(cpu=True)
    network = unet(setting)
    ema = EMAModel(
        network.parameters(),
        decay=0.9999,
        use_ema_warmup=True,
        inv_gamma=1.0,
        power=0.75,
        model_cls=UNet2DModel,
        model_config=network.config,
    )
    scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
    )
    rate = get_scheduler("cosine", optimizer, num_warmup_steps=500, num_training_steps=10_000)
    network, optimizer, loader, rate = accelerator.prepare(
        network, optimizer, photos(setting), rate
    )
    batches = endless(loader)
    no_class = torch.zeros(setting.batch, dtype=torch.int64)

    def step() -> float:
        clean = next(batches)
        noise = torch.randn_like(clean)
        times = torch.randint(0, scheduler.config.num_train_timesteps, (len(clean),))
        noisy = scheduler.add_noise(clean, noise, times)
        with accelerator.accumulate(network):
            out = network(noisy, times, no_class).sample
            loss = torch.nn.functional.mse_loss(out.float(), noise.float())
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            rate.step()
            optimizer.zero_grad()
        if accelerator.sync_gradients:
            ema.step(network.parameters())
        return loss.detach().item()  # for its log

    return step


def photos(setting: Setting) -> Any:
    """The example's DataLoader: PIL images, mirrored, made tensors and normalised one by one."""
    import numpy as np
    from PIL import Image
    from torch.utils.data import DataLoader
    from torchvision import transforms

    rows = np.load(setting.file("images.npy")).transpose(0, 2, 3, 1)
    images = [Image.fromarray(np.ascontiguousarray(row)) for row in rows]
    change = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.5], [0.5]),
        ]
    )

    class Changed:
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, index: int) -> Any:
            return change(images[index])

    return DataLoader(Changed(), batch_size=setting.batch, shuffle=True, drop_last=True)


def endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader
