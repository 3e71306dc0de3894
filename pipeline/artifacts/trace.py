"""The way of one image from noise to the end, as the sampler went it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from ..diffusion.generate import SampleRequest, generate
from ..diffusion.model import load_model
from ..plugin.contracts import Denoise, Prediction, Rates, Sampler
from ..plugin.draws import Draws
from ..plugin.registry import Registry
from ..store.store import Artifact, Store

FILE = "trace.h5"
"""In the artifact's folder."""


@dataclass(frozen=True)
class Watched:
    """A sampler, any sampler, that keeps what its calls of ``denoise`` saw and answered."""

    sampler: Sampler
    seen: list[tuple[Tensor, Prediction, Rates[float]]]

    def __call__(
        self, denoise: Denoise, x: Tensor, levels: Sequence[Rates[float]], draws: Draws
    ) -> Tensor:
        """As the sampler's own."""

        def watched(x: Tensor, rates: Rates[float]) -> Prediction:
            found = denoise(x, rates)
            self.seen.append((x.clone(), found, rates))  # some samplers change x in place
            return found

        return self.sampler(watched, x, levels, draws)


def trace(
    model: Artifact, order: SampleRequest, registry: Registry, store: Store, device: str
) -> Artifact:
    """An artifact with ``trace.h5``: the first image of the order at each call of the denoiser.

    Datasets ``x``, what the network sees (of unit variance, whatever the schedule), and ``x0``, the
    image that it then expects, both decoded, uint8 (calls, C, H, W); ``image``, the end, (C, H, W);
    ``rates``, signal and noise, float64 (calls, 2).
    """
    one = replace(order, num_images=1, batch_size=1)

    def build(path: Path) -> None:
        made = load_model(model.path, registry, device, one.choice, one.weights)
        seen: list[tuple[Tensor, Prediction, Rates[float]]] = []
        watched: Any = Watched(one.sampler, seen)
        (image,) = generate(
            made,
            watched,
            one.num_steps,
            [0],
            spacing=one.spacing,
            labels=one.labels,
            guidance_scale=one.guidance_scale,
            seed=one.seed,
            purpose=one.purpose,
            batch_size=1,
        )
        with h5py.File(path / FILE, "w") as file:
            x = torch.cat([x / rates.c for x, _, rates in seen])
            file["x"] = made.decode(x).numpy()
            file["x0"] = made.decode(torch.cat([found.x0 for _, found, _ in seen])).numpy()
            file["image"] = image[0].numpy()
            file["rates"] = np.array([rates for _, _, rates in seen], np.float64)

    ingredients = {**one.ingredients(registry), "inputs": {"model": model.key}}
    return store.get_or_build("trace", ingredients, build)
