"""The nearest training images, against all distances computed one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.artifacts import neighbours
from pipeline.artifacts.neighbours import (
    NEAREST,
    Space,
    distances_to_training,
    nearest_rows,
    read_neighbours,
)
from pipeline.artifacts.prepare import read_images
from pipeline.artifacts.sample import read_samples
from pipeline.diagnosis.pictures import copying
from pipeline.store.store import Artifact, Store

DRAWN = torch.Generator()


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=DRAWN.manual_seed(seed))


@pytest.mark.parametrize("numbers", [7, 7 * 50, 2**24])
def test_nearest_are_the_least_of_all_distances(monkeypatch, numbers: int) -> None:
    """In blocks of 1, of 50 and of all."""
    monkeypatch.setattr(neighbours, "NUMBERS", numbers)
    rows, queries = normal(120, 7), normal(9, 7, seed=1)
    places, distances = nearest_rows(queries, lambda block: rows[block], len(rows), 4)
    all_of_them = (queries[:, None] - rows).square().sum(2).sqrt()
    expected, order = all_of_them.sort(1)
    assert torch.equal(places, order[:, :4])
    torch.testing.assert_close(distances, expected[:, :4])


def test_fewer_than_are_asked_for() -> None:
    rows = normal(2, 5)
    places, distances = nearest_rows(normal(3, 5), lambda block: rows[block], 2, 4)
    assert places.shape == distances.shape == (3, 2)


def test_a_copy_has_no_distance_even_far_from_zero() -> None:
    """A product of matrices would cancel: 1000 ± 1, squared."""
    rows = normal(50, 100) + 1000
    _, distances = nearest_rows(rows[:10], lambda block: rows[block], 50, 2)
    assert (distances[:, 0] == 0).all()
    assert (distances[:, 1] > 1).all()


def opened(found: dict[str, Any], name: str) -> Artifact:
    one = found["artifacts"][name]
    return Store(Path(found["store"])).open(one["kind"], one["key"])


def test_the_neighbours_of_a_run(first: dict[str, Any]) -> None:
    found = read_neighbours(opened(first, "neighbours"))
    images = read_images(opened(first, "images"))
    assert found["unit"].startswith("distance of features of projection/")
    assert [item["sample"] for item in found["items"]] == [0, 1, 2, 3]
    assert len(found["validation"]) == len(images.indices("validation"))

    def features(pixels: torch.Tensor) -> torch.Tensor:
        import hashlib

        from tests.helpers.tiny_stages import _Projector

        return _Projector(hashlib.sha256(b"").hexdigest()[:12])(pixels)

    train = images.indices("train")
    drawn = features(read_samples(opened(first, "samples"))[:])
    far = torch.cdist(drawn, features(images.batch(train)))
    for item, distances in zip(found["items"], far, strict=True):
        usual, order = distances.sort()
        assert item["indices"] == train[order[:NEAREST]].tolist()
        assert item["distances"] == pytest.approx(usual[:NEAREST].tolist(), rel=1e-4)
    held = features(images.batch(images.indices("validation")))
    scale = torch.cdist(held, features(images.batch(train))).amin(1)
    assert found["validation"] == pytest.approx(scale.tolist(), rel=1e-4)


def found_in(samples: torch.Tensor, train: torch.Tensor, held: torch.Tensor) -> Any:
    space = Space(samples, held, lambda rows: train[rows], "steps")
    return copying(distances_to_training(space, np.arange(len(train))))


def test_what_is_copying_and_what_is_not() -> None:
    train, held = normal(500, 40), normal(200, 40, seed=1)
    copies = train[:30] + 0.1 * normal(30, 40, seed=2)
    told = found_in(copies, train, held)
    assert told is not None
    assert told.what.startswith("30 of 30 samples (0, 1, 2, 3, 4, …)")
    assert found_in(normal(64, 40, seed=3), train, held) is None
    blurred = 0.1 * normal(64, 40, seed=3)  # nearer to all than any real image is
    assert found_in(blurred, train, held) is None
    few = torch.cat([normal(60, 40, seed=3), copies[:2]])
    assert found_in(few, train, held) is None, "two of 62 may be chance"
    twins = torch.cat([held[:150], train[:50] + 0.1 * normal(50, 40, seed=4)])
    some = torch.cat([normal(45, 40, seed=3), copies[:15]])
    assert found_in(some, train, twins) is None, "a quarter of the real images are as near"
