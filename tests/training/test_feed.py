"""Batches come to the device ahead of their step, and a step never waits for the device."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.diffusion.images import Images
from pipeline.training.batches import Batches
from pipeline.training.feed import Feed
from pipeline.training.loop import Training
from tests.helpers.tiny import CLASSES, RECIPE, history, run, same, trained

ALL_OF_A_STEP = (
    RECIPE.replace("augment: [trip]", "augment: [horizontal_flip]")
    .replace("train:\n", "train:\n  condition: class\n  drop_label: 0.3\n  clip_gradients: 1\n")
    .replace("objective: denoising", "objective: {name: denoising, times: stratified}")
)


@pytest.fixture
def nothing_fits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """No images stay in memory. Gives the names of the threads that read them."""
    threads: list[str] = []
    batch = Images.batch

    def watched(self: Images, indices: Any) -> Any:
        threads.append(threading.current_thread().name)
        return batch(self, indices)

    monkeypatch.setattr("pipeline.diffusion.images.free_memory", lambda device: 0)
    monkeypatch.setattr(Images, "batch", watched)
    return threads


def test_images_read_ahead_train_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(CLASSES)
    more = ("train.batch_size=8", "train.accumulate=2", "train.repeats=2")
    resident = run(*more, store=tmp_path / "resident")
    threads = request.getfixturevalue("nothing_fits")
    read = run(*more, store=tmp_path / "read", name="read")
    assert same(trained(read), trained(resident))
    assert history(read) == history(resident)
    assert sum(name.startswith("read ahead") for name in threads) >= 2 * 7 - 1


def test_batches_in_any_order_are_those_of_their_step(
    written: Path, nothing_fits: list[str]
) -> None:
    images = Images(written)
    batches = Batches(np.arange(12), 0, 4, 1, accumulate=2)
    feed = Feed(images, batches, 4, "cpu")
    for step in (0, 1, 5, 5, 2):
        for rows, indices, pixels in feed.of_step(step):
            assert (indices == batches[step][rows.start : rows.stop]).all()
            assert torch.equal(pixels, images.batch(indices))


def test_a_fault_while_reading_ahead_is_told_in_its_step(
    written: Path, nothing_fits: list[str]
) -> None:
    feed = Feed(Images(written), Batches(np.arange(12), 0, 4, 1), 4, "cpu")
    list(feed.of_step(0))
    written.write_bytes(written.read_bytes()[:100])
    feed._ahead.clear()
    with pytest.raises(Exception, match="damaged"):
        list(feed.of_step(1))


class NoWaiting(TorchDispatchMode):
    """Refuses what makes a GPU wait, and what Apple's cannot do."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name()
        assert not name.startswith(("aten::_local_scalar_dense", "aten::nonzero")), name
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor):
            assert found.dtype != torch.float64, name
        return found


def test_no_step_waits_or_needs_float64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(ALL_OF_A_STEP)
    gradients = Training._gradients

    def watched(self: Training) -> Any:
        with NoWaiting():
            return gradients(self)

    descend = Training._descend

    def also_watched(self: Training) -> None:
        with NoWaiting():
            descend(self)

    monkeypatch.setattr(Training, "_gradients", watched)
    monkeypatch.setattr(Training, "_descend", also_watched)
    run("train.accumulate=2", "train.batch_size=8")
