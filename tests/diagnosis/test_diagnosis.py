"""Everything that a diagnosis can find, provoked in a real training; and a healthy one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.commands import open_run
from pipeline.diagnosis import pictures
from pipeline.diagnosis.diagnosis import find_in_training
from pipeline.errors import Failed, InputError
from pipeline.recipe.schema import Ema
from pipeline.records import HistoryRecord
from tests.helpers import tiny
from tests.helpers.tiny import draw, run

PLAIN = [
    "train.epochs=5000", "train.batch_size=8", "train.checkpoint_every=1 minute",
    "train.validate.metrics=[]", "evaluate=null",
]  # fmt: skip
"""A training of which only the losses are looked at."""

BY_HEART = [
    *PLAIN, "backbone=dense", "dataset.num_images=16", "split.validation=0.5",
    "objective={name: denoising, prediction: x0, loss: mse}",
]  # fmt: skip
"""Eight training images, and a network without any idea of what images are."""


def names(found: dict[str, Any]) -> list[str]:
    return [one["name"] for one in found["diagnosis"]]


def finding(found: dict[str, Any], name: str) -> dict[str, str]:
    """The one of this name, as the run's folder has it."""
    kept = json.loads((Path(found["folder"]) / "run.json").read_text())["diagnosis"]
    [one] = [one for one in kept if one["name"] == name]
    assert one["do"][0].isupper()
    return one


@pytest.mark.parametrize(("error", "zeros"), [("mae", math.sqrt(2 / math.pi)), ("mse", 1.0)])
def test_a_network_that_predicts_zero_is_found(
    here: Path, capsys, error: str, zeros: float
) -> None:
    still = ["train.optimizer.lr=1e-9", "train.max_steps=300", "train.validate.every=150 steps"]
    quick = ["backbone=dense", "dataset.num_images=30", f"objective.loss={error}"]
    found = run(*PLAIN, *still, *quick)
    [early, late] = tiny.history(found)
    assert early["loss_of_zeros"] == late["loss_of_zeros"] == pytest.approx(zeros, rel=0.05)
    assert capsys.readouterr().err.count("predicting zero: after 300 steps") == 1
    assert f"{late['loss_of_zeros']:.3f}" in finding(found, "predicting zero")["what"]


def test_what_is_not_finite(here: Path) -> None:
    with pytest.raises(Failed, match=r"(nan|finite).* by step .*Lower train\.optimizer\.lr"):
        run(*PLAIN, "train.optimizer.lr=1e30", "train.max_steps=5")
    name = next(Path("runs").iterdir()).name
    with pytest.raises(InputError, match=r"not finished; .* by step .*Lower train\.optimizer\.lr"):
        draw(name)
    run(*PLAIN, "train.max_steps=5", name=name, replace=True)
    assert not Path("runs", name, "diagnosis.json").exists()


def test_the_average_is_not_warm(here: Path, capsys) -> None:
    cold = [
        *PLAIN, "train.ema.warmup=false", "train.optimizer.lr=3e-3",
        "train.validate.every=10 steps",
    ]  # fmt: skip
    run(*cold, "train.max_steps=20")
    said = capsys.readouterr().err
    assert said.count("average not warm") == 1, "said where it appears, not every time"
    assert "still holds 98% of the weights before training" in said
    found = run(*cold, "train.max_steps=30", name=None)
    assert "average not warm" not in capsys.readouterr().err, "nor where training goes on"
    assert "ema.warmup to true" in finding(found, "average not warm")["do"]
    warm = run(*PLAIN, "train.optimizer.lr=3e-3", "train.max_steps=30", name="warm")
    assert "average not warm" not in names(warm)


def test_overfitting_is_found(here: Path, capsys) -> None:
    found = run(*BY_HEART, "train.max_steps=120", "train.validate.every=20 steps")
    assert capsys.readouterr().err.count("overfitting: the validation loss was lowest at") == 1
    records = tiny.history(found)
    lowest = min(record["validation_loss"] for record in records)
    assert f"({lowest:.4f})" in finding(found, "overfitting")["what"]


@pytest.mark.parametrize(
    ("scored", "unit"),
    [
        ("{metrics: [kid], num_images: 8}", "features of projection/"),
        ("null", "of pixels, 0 to 255"),
    ],
)
def test_copies_of_training_images_are_found(here: Path, scored: str, unit: str) -> None:
    drawn = "sample={num_images: 32, num_steps: 10, grid: [8, 4]}"
    end = ["train.max_steps=400", "train.validate.every=400 steps"]
    found = run(*BY_HEART, *end, drawn, f"evaluate={scored}")
    told = finding(found, "copying")["what"]
    assert "of 32 samples" in told
    assert unit in told


def test_a_learning_rate_too_high(here: Path, capsys) -> None:
    high = ["train.optimizer.lr=0.3", "train.max_steps=90", "train.validate.every=30 steps"]
    found = run(*PLAIN, *high)
    assert capsys.readouterr().err.count("learning rate too high: the loss jumps") == 1
    assert "train.optimizer.lr" in finding(found, "learning rate too high")["do"]


def test_waiting_for_data_is_found(here: Path, capsys) -> None:
    found = run(*PLAIN, "augment=[{name: slow, seconds: 0.5}]", "train.max_steps=3")
    assert capsys.readouterr().err.count("waiting for data: ") == 1
    assert "of the training time" in finding(found, "waiting for data")["what"]


def test_a_score_of_few_images(here: Path, capsys) -> None:
    found = run()
    assert "KID cannot be trusted: it was measured on 8 generated and 12 real" in (
        capsys.readouterr().err
    )
    watched, scored = [one for one in found["diagnosis"] if one["name"] == "KID cannot be trusted"]
    assert "train.validate.num_images" in watched["do"]
    assert "evaluate.num_images" in scored["do"]


def test_a_curve_within_its_noise(here: Path, capsys) -> None:
    still = ["train.optimizer.lr=1e-9", "train.max_steps=3", "train.validate.every=1 step"]
    many = ["dataset.num_images=250", "split.validation=0.5", "train.validate.num_images=100"]
    found = run(*still, *many, "evaluate.num_images=100")
    assert capsys.readouterr().err.count("KID cannot be trusted: all 3 values lie within") == 1
    assert "95 % interval" in finding(found, "KID cannot be trusted")["what"]


def test_samples_all_alike_and_washed_out(here: Path) -> None:
    """A network that gives zeros for x0 draws the mean colour."""
    zeros = ["objective.prediction=x0", "train.optimizer.lr=1e-9", "train.max_steps=3"]
    found = run(*PLAIN, *zeros)
    for name in ("samples all alike", "samples washed out"):
        assert "validation images" in finding(found, name)["what"]


def test_pictures_that_are_blurred_are_no_copies_and_not_washed_out(here: Path) -> None:
    found = run(*PLAIN, "train.max_steps=2", "dataset={name: procedural_flowers, size: 32}")
    images = open_run(found["folder"]).images()
    real = images.batch(images.indices("validation"))
    coarse = torch.nn.functional.avg_pool2d(real.float(), 4)
    blurred = coarse.repeat_interleave(4, 2).repeat_interleave(4, 3).to(torch.uint8)
    assert pictures.all_alike(blurred, real) is None
    assert pictures.washed_out(blurred, real) is None
    grey = (real.float() * 0.3 + 90).to(torch.uint8)
    told = pictures.washed_out(grey, real)
    assert told is not None
    assert "contrast" in told.what
    assert "saturation" in told.what
    assert pictures.all_alike(real[:1].expand(20, -1, -1, -1), real) is not None


HEALTHY = [
    # recipes/flowers32_small.yaml --set backbone.upsampler=bilinear, two CPU cores, 2026-11-25.
    (500, 0.2814, 0.7974, 0.2227, 0.2240),
    (1000, 0.2190, 0.2796, 0.2128, 0.2143),
    (1500, 0.2123, 0.2605, 0.2074, 0.2101),
    (2000, 0.2084, 0.2781, 0.2041, 0.2077),
]
"""Step, training loss, the highest of a step, validation loss, that of the raw weights."""


def history(*rows: tuple[int, float, float, float, float]) -> list[HistoryRecord]:
    return [
        HistoryRecord(
            step=step,
            epoch=step / 100,
            seconds=60.0,
            data_seconds=1.0,
            train={"loss": train},
            highest_loss=highest,
            validation={"loss": validation},
            raw={"loss": raw},
            loss_of_zeros=0.798,
        )
        for step, train, highest, validation, raw in rows
    ]


def test_nothing_is_found_in_a_healthy_history() -> None:
    for end in range(1, 5):
        assert find_in_training(history(*HEALTHY[:end]), Ema()) == []


@pytest.mark.parametrize(
    "end",
    [
        (2010, 0.19, 0.25, 0.2085, 0.2120),  # after ten steps: one rise is no trend
        (2500, 0.21, 0.30, 0.2041, 0.2120),  # no better, no worse
        (2500, 0.20, 0.75, 0.2035, 0.2090),  # one hard batch
        (2500, 0.20, 0.25, 0.2060, 0.1800),  # the average a little behind
    ],
)
def test_what_is_within_the_usual(end: tuple[int, float, float, float, float]) -> None:
    assert find_in_training(history(*HEALTHY, end), Ema()) == []


def test_what_was_not_measured_is_no_finding() -> None:
    bare = HistoryRecord(step=500, epoch=1.0, seconds=9.0, validation={"loss": 0.2})
    assert find_in_training([bare], Ema()) == []
