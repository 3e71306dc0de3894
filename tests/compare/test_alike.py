"""What a comparison makes equal, what it refuses, and what it never trains."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline import InputError
from tests.helpers.tiny import run
from tests.helpers.trials import SWAP, compare, trainings


def test_runs_scored_on_other_numbers_of_images_are_scored_anew_and_not_trained(
    many: Path,
) -> None:
    one, other = run(), run("evaluate.num_images=40", "backbone.upsampler=nearest")
    (many / "tiny.yaml").unlink()
    before = trainings()
    found = compare(one["name"], other["name"])
    assert trainings() == before
    counts = [v["scores"]["kid"][0]["protocol"]["num_fake"] for v in found["variants"]]
    assert counts == [40, 40]
    assert "scored on 40 images of each" in found["notes"][0]


def test_what_is_swapped_in_the_scores_of_a_run_trains_nothing(many: Path) -> None:
    made = run()
    (many / "tiny.yaml").unlink()
    before = {folder.name for folder in Path("runs").iterdir()}
    found = compare(made["name"], swaps=["evaluate.num_steps=2,3"])
    assert {folder.name for folder in Path("runs").iterdir()} - before == {found["name"]}
    steps = [v["scores"]["kid"][0]["protocol"]["num_steps"] for v in found["variants"]]
    assert steps == [2, 3]
    assert found["trainings"] == 1


def test_recipes_with_other_metrics_are_compared_by_those_that_all_have(many: Path) -> None:
    recipe = (many / "tiny.yaml").read_text().replace("name: tiny", "name: other")
    both = recipe.replace("50, metrics: [kid]", "50, metrics: [precision_recall, kid]")
    (many / "other.yaml").write_text(both)
    found = compare("tiny.yaml", "other.yaml", seeds=1)
    assert list(found["metrics"]) == ["kid"]
    said = "compared by KID, which all have: other has precision recall too."
    assert found["notes"] == [said]


def test_a_sampler_of_the_pictures_is_one_of_the_scores(many: Path) -> None:
    swap = "sample.sampler=ddim,{name: ddim, eta: 1}"
    found = compare("tiny.yaml", swaps=[swap], seeds=1)
    samplers = [v["scores"]["kid"][0]["protocol"]["sampler"] for v in found["variants"]]
    assert [sampler["eta"] for sampler in samplers] == [0, 1]
    assert len(trainings()) == found["trainings"] == 1


INEFFECTIVE = {
    "sample.sampler=ddim,ddpm": "evaluate.sampler would reach them: --swap evaluate.sampler=",
    "sample.sampler.eta=0,1": "evaluate.sampler.eta would reach them",
    "sample.num_images=4,8": "no score depends on sample.num_images",
    "sample.grid=[2, 2],[4, 1]": "no score depends on sample.grid, so there is nothing",
    "train.trackers=[],[tensorboard]": "no score depends on train.trackers, so",
    "train.validate.grid=[2, 2],[4, 1]": "no score depends on train.validate.grid, so",
    "evaluate.num_images=40,50": "all are scored on as many images",
    "evaluate.batch_size=8,16": "no score depends on evaluate.batch_size",
}


@pytest.mark.parametrize("swap", INEFFECTIVE)
def test_a_swap_that_reaches_no_score_is_refused(swap: str, many: Path) -> None:
    own = (many / "tiny.yaml").read_text().replace("evaluate: {", "evaluate: {sampler: ddim, ")
    (many / "tiny.yaml").write_text(own)
    with pytest.raises(InputError, match=re.escape(INEFFECTIVE[swap])):
        compare("tiny.yaml", swaps=[swap])
    assert not trainings()


def test_a_swap_that_an_option_of_the_comparison_overrides_is_refused(many: Path) -> None:
    with pytest.raises(InputError, match="--num-steps 3 holds for all"):
        compare("tiny.yaml", swaps=["evaluate.num_steps=2,4"], num_steps=3)


def test_that_a_run_beside_a_recipe_is_trained_with_more_seeds_is_said(
    many: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(name="mine")
    other = (many / "tiny.yaml").read_text().replace("name: tiny", "name: other")
    (many / "other.yaml").write_text(other)
    capsys.readouterr()
    found = compare("mine", "other.yaml", plan=True)
    assert len(found["commands"]) == 5  # the run itself is there
    assert "mine: trained with 2 more seeds, as recipes are" in capsys.readouterr().err
    assert len(compare("mine", "other.yaml", seeds=1, plan=True)["commands"]) == 1
    assert "more seeds" not in capsys.readouterr().err


COSINE = "train.lr_schedule={{name: cosine, total_steps: {}}}"


@pytest.mark.parametrize(
    ("total", "said"),
    [
        (7, []),  # as long as the training
        (70, ["ends at 98% of the learning rate", "7 steps, and train.lr_schedule is of 70"]),
        (4, ["the last 3 steps are trained at 0% of the learning rate"]),
    ],
)
def test_a_learning_rate_of_another_length_than_the_training_is_said(
    total: int, said: list[str], many: Path
) -> None:
    found = compare("tiny.yaml", swaps=[SWAP], overrides=[COSINE.format(total)], seeds=1)
    assert len(found["notes"]) == bool(said)
    for words in ["bilinear, transposed_conv: ", *said] if said else []:
        assert words in found["notes"][0]


def test_a_budget_that_cuts_a_learning_rate_short_is_said(many: Path) -> None:
    rate = COSINE.format(7)
    found = compare("tiny.yaml", swaps=[SWAP], overrides=[rate], seeds=1, budget="steps=3")
    assert "3 steps, and train.lr_schedule is of 7" in found["notes"][0]
    assert "train.lr_schedule.total_steps=3" in found["notes"][0]
