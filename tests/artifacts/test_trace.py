"""The way of one image: what the sampler asked and was answered, whatever the sampler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from pipeline.artifacts.trace import Watched
from pipeline.diffusion.levels import levels
from pipeline.diffusion.model import load_model
from pipeline.plugin.draws import Draws
from pipeline.plugin.registry import Registry
from pipeline.plugin.values import CLEAN, Prediction, Rates
from pipeline.store.store import Store
from pipeline_spacings.uniform import Uniform
from tests.helpers.tiny import STAGES, run


def opened(found: dict[str, Any], name: str, file: str) -> dict[str, Any]:
    """All datasets of an artifact's file."""
    one = found["artifacts"][name]
    path = Store(Path(found["store"])).open(one["kind"], one["key"]).path
    with h5py.File(path / file) as data:
        return {key: data[key][:] for key in data}


def test_it_is_the_first_sample(first: dict[str, Any]) -> None:
    way = opened(first, "trace", "trace.h5")
    sample = opened(first, "samples", "samples.h5")["images"][0]
    assert np.abs(way["image"].astype(int) - sample).max() <= 1  # another batch size rounds else
    assert way["x"].shape == way["x0"].shape == (3, 3, 16, 16)  # DDIM: a call a step
    np.testing.assert_array_equal(way["x0"][-1], way["image"])


def test_it_starts_with_the_noise_of_the_sample(first: dict[str, Any]) -> None:
    way = opened(first, "trace", "trace.h5")
    registry = Registry.load([STAGES])
    key = first["artifacts"]["model"]["key"]
    path = Store(Path(first["store"])).open("model", key).path
    model = load_model(path, registry, "cpu")
    noise = Draws(0, "sample", [0]).normal(torch.empty(1, *model.shape))
    np.testing.assert_array_equal(way["x"][0], model.decode(noise)[0].numpy())
    np.testing.assert_allclose(way["rates"], levels(model.schedule, 3, Uniform())[:-1])


@pytest.mark.parametrize(("sampler", "calls"), [("heun", 5), ("loud", 1), ("dpmpp_2m", 3)])
def test_every_call_is_there(after_first: Path, sampler: str, calls: int) -> None:
    found = run(f"sample.sampler={sampler}")
    way = opened(found, "trace", "trace.h5")
    assert len(way["x"]) == len(way["rates"]) == calls
    sample = opened(found, "samples", "samples.h5")["images"][0]
    assert np.abs(way["image"].astype(int) - sample).max() <= 1


def test_what_changes_in_place_was_kept_before() -> None:
    def sampler(denoise: Any, x: Any, levels: Any, draws: Any) -> Any:
        for _ in range(2):
            x += denoise(x, levels[0]).x0
        return x

    watched: Any = Watched(sampler, [])  # type: ignore[arg-type]
    rates = Rates(0.6, 0.8)
    end = watched(lambda x, _: Prediction(x.clone(), x), torch.ones(1), [rates, CLEAN], None)
    assert end.item() == 4
    assert [x.item() for x, _, _ in watched.calls] == [1, 2]
    assert [found.x0.item() for _, found, _ in watched.calls] == [1, 2]
    assert watched.calls[0][2] == rates
