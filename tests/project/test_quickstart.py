"""The quickstart as a user runs it, and whether its flowers are as good as the README says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from pipeline.artifacts.embed import read_features
from pipeline.diffusion.generate import generate
from pipeline.diffusion.measure import extract
from pipeline.diffusion.model import build_network, load_model
from tests.helpers.quickstart import Finished

pytestmark = pytest.mark.slow


def test_kid_is_a_third_of_the_untrained_networks(quickstart: Finished) -> None:
    trained = load_model(quickstart.open("model"), quickstart.registry, "cpu")
    untrained = trained.of(
        build_network(quickstart.recipe, quickstart.images.shape, None, "cpu").eval()
    )
    drawn = generate(
        untrained,
        quickstart.recipe.sample.sampler,
        20,
        range(200),
        seed=0,
        purpose="evaluate",
        batch_size=64,
    )
    assert quickstart.about["scores"]["kid"]["value"] < quickstart.kid(drawn) / 3


def test_kid_is_lower_than_that_of_gaussian_images(quickstart: Finished) -> None:
    """Independent pixels, each with the training images' mean and variance at its place."""
    data = quickstart.images.batch(quickstart.images.indices("train")).double()
    noise = torch.randn(
        (len(quickstart.real), *data.shape[1:]), generator=torch.Generator().manual_seed(0)
    )
    gaussian = (data.mean(0) + noise * data.std(0)).clamp(0, 255).round().to(torch.uint8)
    assert quickstart.about["scores"]["kid"]["value"] < quickstart.kid(
        iter(torch.split(gaussian, 64))
    )


def test_nothing_is_wrong_with_a_healthy_run(quickstart: Finished) -> None:
    assert quickstart.about["diagnosis"] == []


def test_samples_are_no_copies(quickstart: Finished) -> None:
    """Distances to the nearest training image, in feature space."""
    indices = quickstart.images.indices("train")
    train = extract(
        quickstart.extractor, (quickstart.images.batch(part) for part in _parts(indices))
    )
    drawn = read_features(quickstart.artifact("features of scored samples"))
    nearest = [
        torch.cdist(x, train).min(1).values.median().item() for x in (drawn, quickstart.real)
    ]
    assert nearest[0] >= 0.8 * nearest[1]


def _parts(indices: Any) -> Iterator[Any]:
    return (indices[i : i + 64] for i in range(0, len(indices), 64))
