"""A learning-rate schedule that ends with the training."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import InputError, commands
from pipeline.compare.variants import variants_of
from pipeline.plugin.registry import Registry
from tests.helpers.tiny import STAGES, built, run

COSINE = "train.lr_schedule={name: cosine, warmup_steps: 1}"


def test_it_has_the_trainings_length_and_another_length_is_another_training(here: Path) -> None:
    first = run(COSINE)
    steps = first["recipe"]["train"]["lr_schedule"]["total_steps"]
    assert steps == commands.open_run(first["folder"]).validations[-1].step
    longer = run(COSINE, f"train.max_steps={steps - 2}")
    why = built(longer)["model"]
    assert f"total_steps changed: {steps} -> {steps - 2}" in why
    assert not built(run(COSINE))


def test_what_is_made_for_another_length_is_told(here: Path, capfd) -> None:
    run("train.lr_schedule={name: cosine, total_steps: 1000}", dry_run=True)
    assert "made for 1,000 steps, and this training has" in capfd.readouterr().err
    run("train.lr_schedule={name: cosine, total_steps: 2}", dry_run=True)
    assert "steps are beyond the end (total_steps: null ends" in capfd.readouterr().err
    run(COSINE, dry_run=True)
    assert "made for" not in capfd.readouterr().err


def test_a_training_too_short_for_the_warm_up_is_refused(here: Path) -> None:
    with pytest.raises(InputError, match="the schedule cannot end there; make the training longer"):
        run("train.lr_schedule={name: cosine, warmup_steps: 500}")


def test_variants_that_are_compared_end_with_their_own_trainings(here: Path) -> None:
    registry, swap = Registry.load([STAGES]), "train.max_steps=3,5"
    found = variants_of(["tiny.yaml"], [swap], [COSINE], registry, "cpu")
    assert [v.loaded.recipe.train.lr_schedule.total_steps for v in found] == [3, 5]
    shorter = found[1].changed(["train.max_steps=2"], registry)
    assert shorter.loaded.recipe.train.lr_schedule.total_steps == 2
    plan = commands.compare(
        ["tiny.yaml"], swaps=[swap], overrides=[COSINE], plugins=[STAGES], plan=True
    )
    assert len(plan["commands"]) == 6
