"""The way of one image from noise to the end, as the sampler went it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..diffusion.generate import SampleRequest, generate
from ..plugin.contracts import Denoise, Sampler
from ..plugin.draws import Draws
from ..plugin.values import Prediction, Rates
from ..store.hdf5 import writing
from ..store.store import Artifact
from .files import TRACE
from .sample import drawing_model
from .session import Session


@dataclass(frozen=True)
class Watched:
    """A sampler, any sampler, that keeps what its calls of ``denoise`` saw and answered."""

    sampler: Sampler
    calls: list[tuple[Tensor, Prediction, Rates[float]]]

    @property
    def order(self) -> int | None:
        """As the sampler's own."""
        return self.sampler.order

    def nfe(self, num_steps: int) -> int:
        """As the sampler's own."""
        return self.sampler.nfe(num_steps)

    def __call__(
        self, denoise: Denoise, x: Tensor, levels: Sequence[Rates[float]], draws: Draws
    ) -> Tensor:
        """As the sampler's own."""

        def watched(x: Tensor, rates: Rates[float]) -> Prediction:
            prediction = denoise(x, rates)
            self.calls.append((x.clone(), prediction, rates))  # some samplers change x in place
            return prediction

        return self.sampler(watched, x, levels, draws)


def trace(model: Artifact, request: SampleRequest, session: Session) -> Artifact:
    """An artifact with ``trace.h5``: the first image of a request at each call of the denoiser.

    Datasets ``x``, what the network sees (of unit variance, whatever the schedule), and ``x0``, the
    image that it then expects, both decoded, uint8 (calls, C, H, W); ``image``, the end, (C, H, W);
    ``rates``, signal and noise, float64 (calls, 2).
    """
    single = replace(request, num_images=1, batch_size=1, interpolate=None)
    ingredients = {**single.ingredients(session.registry), "inputs": {"model": model.key}}

    def build(folder: Path) -> None:
        drawing = drawing_model(model.path, single, session)
        watched = Watched(single.sampler, [])
        (image,) = generate(drawing, replace(single, sampler=watched), [0])
        with writing(folder / TRACE) as file:
            x = torch.cat([x / rates.c for x, _, rates in watched.calls])
            file["x"] = drawing.decode(x).numpy()
            x0 = torch.cat([prediction.x0 for _, prediction, _ in watched.calls])
            file["x0"] = drawing.decode(x0).numpy()
            file["image"] = image[0].numpy()
            file["rates"] = np.array([rates for _, _, rates in watched.calls], np.float64)

    return session.store.get_or_build("trace", ingredients, build)
