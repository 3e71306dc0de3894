"""``evaluate`` follows ``sample`` in how images are drawn, unless it says otherwise."""

from __future__ import annotations

import pytest

from pipeline.errors import InputError
from pipeline.plugin.registry import Registry
from pipeline.recipe.load import find, load
from pipeline.recipe.scores import DRAWING
from pipeline.recipe.show import recipe_as_yaml

SWAPPED = "sample.sampler={name: ddim, eta: 1}"


def test_scores_are_drawn_as_the_pictures_are(installed: Registry) -> None:
    sets = [SWAPPED, "sample.num_steps=7", "sample.spacing=karras", "sample.precision=bf16"]
    loaded = load("quickstart", sets, registry=installed)
    sample, evaluate = loaded.data["sample"], loaded.data["evaluate"]
    assert [evaluate[key] for key in DRAWING] == [sample[key] for key in DRAWING]
    assert loaded.origins["evaluate.sampler.eta"] == "as sample.sampler"
    assert "# as sample.num_steps" in recipe_as_yaml(loaded)


def test_what_evaluate_says_counts(installed: Registry) -> None:
    sets = [SWAPPED, "sample.num_steps=7", "evaluate.num_steps=9", "evaluate.sampler=heun"]
    evaluate = load("quickstart", sets, registry=installed).data["evaluate"]
    assert (evaluate["sampler"]["name"], evaluate["num_steps"]) == ("heun", 9)


def test_an_option_alone_is_one_of_the_sampler_that_is_followed(installed: Registry) -> None:
    sets = ["sample.sampler=heun", "evaluate.sampler.churn=1"]
    data = load("quickstart", sets, registry=installed).data
    assert data["evaluate"]["sampler"] == {**data["sample"]["sampler"], "churn": 1.0}


def test_the_text_of_a_recipe_that_follows_is_the_same_recipe(
    installed: Registry, tmp_path
) -> None:
    loaded = load("quickstart", [SWAPPED], registry=installed)
    (tmp_path / "again.yaml").write_text(recipe_as_yaml(loaded))
    assert load(tmp_path / "again.yaml", registry=installed).data == loaded.data


def test_both_sections_have_the_same_defaults(installed: Registry, tmp_path) -> None:
    text = find("quickstart").read_text().replace("sample: {num_steps: 20, ", "sample: {")
    (tmp_path / "plain.yaml").write_text(text)
    data = load(tmp_path / "plain.yaml", registry=installed).data
    assert [data["evaluate"][key] for key in DRAWING] == [data["sample"][key] for key in DRAWING]


@pytest.mark.parametrize(
    "wrong", ["sample.sampler=ddmi", "sample.num_steps=0", "sample.guidance_scale=3"]
)
def test_what_is_wrong_with_the_pictures_is_told_once(wrong: str, installed: Registry) -> None:
    with pytest.raises(InputError) as error:
        load("quickstart", [wrong], registry=installed)
    assert len(str(error.value).splitlines()) == 1
