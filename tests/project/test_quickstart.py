"""The quickstart as a user runs it, and whether its flowers are as good as the README says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from pipeline.diffusion.generate import SampleRequest, generate
from pipeline.diffusion.model import build_network
from tests.helpers.quickstart import Quickstart

pytestmark = pytest.mark.slow


def test_kid_is_a_third_of_the_untrained_networks(quickstart: Quickstart) -> None:
    network = build_network(quickstart.recipe, quickstart.images.shape, None, "cpu").eval()
    untrained = quickstart.run.model().of(network)
    request = SampleRequest(
        sampler=quickstart.recipe.sample.sampler,
        num_steps=20,
        spacing=quickstart.recipe.sample.spacing,
        guidance=quickstart.recipe.sample.guidance,
        num_images=200,
        seed=0,
        purpose="evaluate",
    )
    drawn = generate(untrained, request, range(200))
    assert quickstart.score < quickstart.kid(drawn) / 3


def test_kid_is_lower_than_that_of_gaussian_images(quickstart: Quickstart) -> None:
    """Independent pixels, each with the training images' mean and variance at its place."""
    data = quickstart.images.batch(quickstart.images.indices("train")).double()
    noise = torch.randn(
        (len(quickstart.real), *data.shape[1:]), generator=torch.Generator().manual_seed(0)
    )
    gaussian = (data.mean(0) + noise * data.std(0)).clamp(0, 255).round().to(torch.uint8)
    assert quickstart.score < quickstart.kid(iter(torch.split(gaussian, 64)))


def test_nothing_is_wrong_with_a_healthy_run(quickstart: Quickstart) -> None:
    assert quickstart.run.record["diagnosis"] == []


def test_samples_are_no_copies(quickstart: Quickstart) -> None:
    """Distances to the nearest training image, in feature space."""
    indices = quickstart.images.indices("train")
    train = quickstart.extracted(quickstart.images.batch(part) for part in _parts(indices))
    drawn = quickstart.features("scored samples")
    nearest = [
        torch.cdist(x, train).min(1).values.median().item() for x in (drawn, quickstart.real)
    ]
    assert nearest[0] >= 0.8 * nearest[1]


def _parts(indices: Any) -> Iterator[Any]:
    return (indices[i : i + 64] for i in range(0, len(indices), 64))
