"""A step of several batches is what a step of one large batch is."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline import InputError
from pipeline.report import run_page
from pipeline.training.batches import in_parts
from tests.helpers.tiny import CLASSES, built, history, main, model, run, same, trained

GROUP = "backbone.norm=group"
LARGE = ("train.batch_size=16", "train.accumulate=1")
SMALL = ("train.batch_size=4", "train.accumulate=4")

RECIPE = (
    CLASSES.replace("num_images: 60", "num_images: 65")  # 52 for training: 4 are left each epoch
    .replace("augment: [trip]", "augment: [horizontal_flip, trip]")
    .replace("condition: class", "condition: class\n  drop_label: 0.3")
)


@pytest.fixture
def recipe(here: Path) -> Path:
    (here / "tiny.yaml").write_text(RECIPE)
    return here


def assert_close(found: dict[str, Any], other: dict[str, Any]) -> None:
    """Weights and averages to 1e-5, and all that was measured to rounding."""
    one, two = model(found), model(other)
    assert one.keys() == two.keys()
    assert all((one[name].float() - two[name].float()).abs().max() < 1e-5 for name in one)
    for line, usual in zip(history(found), history(other), strict=True):
        numbers = {k: v for k, v in usual.items() if isinstance(v, float | int)}
        assert {k: line[k] for k in numbers} == pytest.approx(numbers, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("repeats", [1, 2])
def test_batches_of_a_step_give_what_one_as_large_gives(recipe: Path, repeats: int) -> None:
    more = (GROUP, f"train.repeats={repeats}", "train.clip_gradients=0.5")
    large, small = run(*LARGE, *more), run(*SMALL, *more)
    assert "accumulate changed: 1 -> 4" in built(small)["model"]
    assert [line["epoch"] for line in history(small)] == [line["epoch"] for line in history(large)]
    assert history(small)[0]["epoch"] == 1 / repeats, "an epoch has 3 steps, or 6, not 13 and 26"
    assert_close(small, large)


def test_what_the_network_sees_alone_matters_with_batch_norm(recipe: Path) -> None:
    large, small = run(*LARGE), run(*SMALL)
    apart = [(model(large)[n] - model(small)[n]).abs().max() for n in model(large) if "raw" in n]
    assert max(apart) > 1e-4


def test_a_stop_within_a_step_of_several_batches_changes_nothing(recipe: Path, capsys) -> None:
    straight = run(*SMALL, GROUP, name="straight", store=recipe / "straight")
    trip = [*SMALL, GROUP, "augment.trip.step=4", f"augment.trip.signal={int(signal.SIGTERM)}"]
    # Each of the step's batches sends it; the second ends the step before it is done.
    changes = [word for change in trip for word in ("--set", change)]
    assert main("run", "tiny.yaml", "--device", "cpu", *changes) == 143
    found = run(*SMALL, GROUP)
    assert "training goes on from step 4" in capsys.readouterr().err
    assert same(trained(found), trained(straight))
    assert history(found) == history(straight)


def test_images_a_second_count_all_batches(recipe: Path) -> None:
    (*_, last) = Path(run(*SMALL)["folder"], "history.jsonl").read_text().splitlines()
    line = json.loads(last)
    assert line["images_per_second"] == pytest.approx(7 * 16 / line["seconds"])


def test_more_than_an_epoch_is_refused_by_both_names(recipe: Path) -> None:
    with pytest.raises(InputError, match=r"batch_size 16 times train\.accumulate 4 is larger"):
        run("train.accumulate=4")


def test_parts_of_a_step_know_their_rows() -> None:
    parts = list(in_parts(np.arange(10, 20), 4))
    assert [list(rows) for rows, _ in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert torch.equal(
        torch.cat([torch.from_numpy(part) for _, part in parts]), torch.arange(10, 20)
    )


@pytest.mark.parametrize(("train", "count"), [({}, 16), ({"accumulate": 4}, 64)])
def test_the_page_counts_all_batches_of_a_step(train: dict[str, int], count: int) -> None:
    record: Any = {"recipe": {"train": {"batch_size": 16, **train}}}
    assert run_page._images_per_step(record) == count, "older records have no accumulate"
