"""Where noise levels are, and that their spacing is an option everywhere something is drawn."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from pipeline import CLEAN, Rates
from pipeline.cli.main import cli
from pipeline.diffusion.levels import levels
from pipeline.errors import InputError
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline.runs.evaluate import evaluate
from pipeline_schedules.cosine import Cosine
from tests.helpers import tiny
from tests.helpers.analytic import exploding, flow, karras, widest
from tests.helpers.tiny import STAGES, built, draw, history, main, run

SCHEDULES = {"vp": Cosine(), "ve": exploding, "flow": flow, "karras": karras, "widest": widest}
EVERY_SCHEDULE = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
REGISTRY = Registry.load()
SPACINGS = {
    entry.name: build_stage(REGISTRY, "spacing", entry.name)
    for entry in REGISTRY.entries("spacing")
}


def at(schedule, *t: float) -> list[Rates[float]]:
    rates = schedule(torch.tensor(t, dtype=torch.float64))
    return [Rates(a, b) for a, b in zip(rates.signal.tolist(), rates.noise.tolist(), strict=True)]


@EVERY_SCHEDULE
@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_uniform_t_is_1_minus_k_over_n_to_the_last_bit(schedule, count):
    expected = [*at(schedule, *(1 - torch.arange(count).double() / count).tolist()), CLEAN]
    assert levels(schedule, count, SPACINGS["uniform"]) == expected


@EVERY_SCHEDULE
@pytest.mark.parametrize("name", SPACINGS)
@pytest.mark.parametrize("count", [1, 2, 3, 20, 200])
def test_there_are_as_many_noisy_levels_as_asked_for_each_less_noisy(schedule, name, count):
    found = levels(schedule, count, SPACINGS[name])
    assert len(found) == count + 1
    assert found[-1] == CLEAN
    assert found[0] == at(schedule, 1.0)[0]
    last = 1 - (count - 1) / count if name == "uniform" or count == 1 else 0.0
    assert found[-2] == at(schedule, last)[0]
    sigmas = [rates.sigma for rates in found]
    assert all(a > b for a, b in pairwise(sigmas))
    assert all(type(part) is float for rates in found for part in rates)


def test_spacings_that_do_not_exist(after_first: Path, capfd) -> None:
    told = (
        "no spacing is called 'karas'; did you mean 'karras'? There are: karras, log_snr, uniform"
    )
    with pytest.raises(InputError, match=f"--spacing: .*{re.escape(told)}"):
        draw(spacing="karas")
    for section in ("sample", "train.validate", "evaluate"):
        with pytest.raises(InputError, match=rf"{section}\.spacing: {re.escape(told)}"):
            run(f"{section}.spacing=karas")
    for words in (["sample", "tiny"], ["evaluate", "tiny"]):
        assert main(*words, "--spacing", "karas") == 2
        assert told in capfd.readouterr().err


def test_the_shell_offers_every_spacing() -> None:
    for name in ("sample", "evaluate"):
        (option,) = (o for o in cli.commands[name].params if o.name == "spacing")
        names = option.help.removeprefix("Of the noise levels: ").partition(", or {")[0]
        assert set(names.split(", ")) == SPACINGS.keys()


def test_pictures_depend_on_the_spacing(after_first: Path) -> None:
    found = {name: draw(spacing=name) for name in SPACINGS}
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


def test_a_spacing_keeps_its_bare_name_where_no_option_is_set(after_first: Path) -> None:
    plain, images = draw(spacing="karras")
    again, _ = draw(spacing="{name: karras, rho: 7}")
    assert (again["spacing"], again["folder"]) == ("karras", plain["folder"])
    steep, other = draw(spacing="{name: karras, rho: 3}")
    assert steep["spacing"] == {"name": "karras", "rho": 3.0}
    assert Path(steep["folder"]).name.endswith("-karras-rho=3.0")
    assert not torch.equal(other, images)


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
