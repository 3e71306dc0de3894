"""Where noise levels are, and that their spacing is an option everywhere something is drawn."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import get_args

import diffusers
import numpy as np
import pytest
import torch

from pipeline import CLEAN, Rates
from pipeline.cli.main import cli
from pipeline.diffusion.levels import levels, time_of
from pipeline.errors import InputError
from pipeline.recipe.schema import Spacing
from pipeline.runs.evaluate import evaluate
from pipeline_schedules.cosine import Cosine
from tests.helpers import tiny
from tests.helpers.analytic import exploding, flow, karras, widest
from tests.helpers.tiny import STAGES, built, draw, history, main, run

SCHEDULES = {"vp": Cosine(), "ve": exploding, "flow": flow, "karras": karras, "widest": widest}
EVERY_SCHEDULE = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
SPACINGS = get_args(Spacing)
EVERY_SPACING = pytest.mark.parametrize("spacing", SPACINGS)


def at(schedule, *t: float) -> list[Rates[float]]:
    rates = schedule(torch.tensor(t, dtype=torch.float64))
    return [Rates(a, b) for a, b in zip(rates.signal.tolist(), rates.noise.tolist(), strict=True)]


@EVERY_SCHEDULE
@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_uniform_is_the_default_and_t_is_1_minus_k_over_n_to_the_last_bit(schedule, count):
    expected = [*at(schedule, *(1 - torch.arange(count).double() / count).tolist()), CLEAN]
    assert levels(schedule, count) == levels(schedule, count, "uniform") == expected


@EVERY_SCHEDULE
@EVERY_SPACING
@pytest.mark.parametrize("count", [1, 2, 3, 20, 200])
def test_there_are_as_many_noisy_levels_as_asked_for_each_less_noisy(schedule, spacing, count):
    found = levels(schedule, count, spacing)
    assert len(found) == count + 1
    assert found[-1] == CLEAN
    assert found[0] == at(schedule, 1.0)[0]
    last = 1 - (count - 1) / count if spacing == "uniform" or count == 1 else 0.0
    assert found[-2] == at(schedule, last)[0]
    sigmas = [rates.sigma for rates in found]
    assert all(a > b for a, b in pairwise(sigmas))
    assert all(type(part) is float for rates in found for part in rates)


@EVERY_SCHEDULE
def test_log_snr_is_even_in_log_snr(schedule):
    found = [rates.log_snr for rates in levels(schedule, 9, "log_snr")[:-1]]
    np.testing.assert_allclose(found, np.linspace(found[0], found[-1], 9), rtol=0, atol=1e-9)


@EVERY_SCHEDULE
def test_karras_is_equation_5(schedule):
    found = [rates.sigma for rates in levels(schedule, 9, "karras")[:-1]]
    largest, smallest = (rates.sigma for rates in at(schedule, 1.0, 0.0))
    expected = [
        (largest ** (1 / 7) + i / 8 * (smallest ** (1 / 7) - largest ** (1 / 7))) ** 7
        for i in range(9)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@EVERY_SCHEDULE
@pytest.mark.parametrize("count", [2, 10, 50])
def test_spacings_are_those_of_diffusers(schedule, count):
    theirs = diffusers.DPMSolverMultistepScheduler()
    smallest, largest = (rates.sigma for rates in at(schedule, 0.0, 1.0))
    ends = np.array([largest, smallest])
    sigmas = theirs._convert_to_karras(torch.tensor(ends), count)
    found = [rates.sigma for rates in levels(schedule, count, "karras")[:-1]]
    np.testing.assert_allclose(found, sigmas, rtol=1e-9)
    logs = theirs._convert_to_lu(torch.tensor(np.log(ends)), count)
    found = [np.log(rates.sigma) for rates in levels(schedule, count, "log_snr")[:-1]]
    np.testing.assert_allclose(found, logs, rtol=0, atol=1e-9)


@EVERY_SCHEDULE
def test_time_of_is_the_inverse_of_log_snr(schedule):
    t = torch.linspace(0, 1, 101, dtype=torch.float64).reshape(1, 101)
    found = time_of(schedule, schedule(t).log_snr)
    torch.testing.assert_close(found, t, rtol=0, atol=1e-9)
    beyond = time_of(schedule, torch.tensor([30.0, -30.0], dtype=torch.float64))
    torch.testing.assert_close(beyond, torch.tensor([0.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("spacing", ["log_snr", "karras"])
@pytest.mark.parametrize(
    "schedule",
    [
        lambda t: Rates(1 - t, t),  # infinite at both ends
        lambda t: Rates(t.clamp(min=0.1), 1.1 - t),  # the wrong way around
        lambda t: Rates(torch.ones_like(t), torch.ones_like(t)),
        lambda t: Rates(t * torch.nan, t),
    ],
)
def test_a_schedule_without_falling_log_snr_is_told(schedule, spacing):
    with pytest.raises(InputError, match=f"spacing {spacing}: the schedule's log-SNR should fall"):
        levels(schedule, 5, spacing)


def test_spacings_that_do_not_exist(after_first: Path, capfd) -> None:
    told = "spacing karas: should be uniform, log_snr or karras"
    with pytest.raises(InputError, match=told):
        levels(Cosine(), 5, "karas")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=told):
        draw(spacing="karas")
    for section in ("sample", "train.validate", "evaluate"):
        with pytest.raises(InputError, match=rf"{section}\.spacing: .*karras.*karas"):
            run(f"{section}.spacing=karas")
    for words in (["sample", "tiny"], ["evaluate", "tiny"]):
        assert main(*words, "--spacing", "karas") == 2
        assert "'uniform', 'log_snr', 'karras'" in capfd.readouterr().err


def test_the_shell_offers_every_spacing() -> None:
    for name in ("sample", "evaluate"):
        (option,) = (o for o in cli.commands[name].params if o.name == "spacing")
        assert tuple(option.type.choices) == SPACINGS


def test_pictures_depend_on_the_spacing(after_first: Path) -> None:
    found = {spacing: draw(spacing=spacing) for spacing in SPACINGS}
    usual, images = draw()
    assert usual["reused"]
    assert usual["spacing"] == "uniform"
    assert torch.equal(images, found["uniform"][1])
    assert usual["folder"] == found["uniform"][0]["folder"]
    for spacing in ("log_snr", "karras"):
        about, other = found[spacing]
        assert about["spacing"] == spacing
        assert spacing in Path(about["folder"]).name
        assert not torch.equal(other, images)
    assert not torch.equal(found["log_snr"][1], found["karras"][1])


def test_scores_say_the_spacing(first, after_first: Path, capfd) -> None:
    assert first["scores"]["kid"]["protocol"]["spacing"] == "uniform"
    assert history(first)[-1]["protocol"]["kid"]["spacing"] == "uniform"
    assert main("evaluate", "tiny", "--spacing", "karras", "--device", "cpu", "--json") == 0
    score = json.loads(capfd.readouterr().out)["scores"]["kid"]
    assert score["protocol"]["spacing"] == "karras"
    assert score["value"] != first["scores"]["kid"]["value"]
    assert main("evaluate", "tiny", "--spacing", "karras", "--device", "cpu") == 0
    assert "8 samples by ddim in 2 steps (karras) against" in capfd.readouterr().out


def test_a_folder_has_no_spacing(after_first: Path) -> None:
    draw()
    (folder,) = Path("runs/tiny").glob("samples-*/images")
    with pytest.raises(InputError, match=r"--spacing: .* is a folder, nothing is drawn for it"):
        evaluate(folder, against=Path("tiny"), spacing="karras", plugins=[STAGES])


def test_validation_and_its_pictures_use_their_own_spacing(first, after_first: Path) -> None:
    found = run("train.validate.spacing=karras", name="spaced")
    assert "validate.spacing changed: uniform -> karras" in built(found)["model"]
    record, usual = history(found)[-1], history(first)[-1]
    assert record["protocol"]["kid"]["spacing"] == "karras"
    assert record["kid"] != usual["kid"]
    assert record["validation_loss"] == usual["validation_loss"]
    grid = sorted(Path("runs/spaced/grids").glob("*.png"))[-1]
    assert grid.read_bytes() != (Path("runs/tiny/grids") / grid.name).read_bytes()
    assert tiny.same(tiny.model(found), tiny.model(first))


def test_a_recipe_that_scores_nothing_is_evaluated_as_it_is_sampled(here: Path) -> None:
    text = Path("tiny.yaml").read_text().splitlines()
    Path("tiny.yaml").write_text("\n".join(x for x in text if not x.startswith("evaluate")))
    run("sample.spacing=karras", name="tiny")
    about, _ = draw()
    assert (about["spacing"], about["reused"]) == ("karras", True)
    found = evaluate(Path("tiny"), num_images=8, plugins=[STAGES], device="cpu")
    assert found["scores"]["kid"]["protocol"]["spacing"] == "karras"
