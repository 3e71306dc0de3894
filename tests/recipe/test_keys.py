"""Every key of a recipe, for people and for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline import InputError, commands
from pipeline.recipe.jsonschema import schema
from pipeline.recipe.keys import keys_as_markdown, keys_as_text, recipe_keys
from pipeline.recipe.load import check_recipe
from pipeline.recipe.yaml12 import parse
from tests.helpers.paths import ROOT

RECIPES = sorted(ROOT.glob("recipes/*.yaml"))
SCHEMA = schema()
CHECK = jsonschema.Draft202012Validator(SCHEMA)


def wrong(recipe: dict[str, Any]) -> list[str]:
    """Where the schema finds a recipe wrong."""
    return [error.json_path for error in CHECK.iter_errors(recipe)]


def test_the_page_has_every_key() -> None:
    page = (ROOT / "docs/recipe.md").read_text()
    assert page.endswith(keys_as_markdown())
    assert "`checkpoint_every`" in page


def test_keys_are_those_of_a_resolved_recipe() -> None:
    known = {key.path for key in recipe_keys()}
    given = check_recipe("flowers_ddim").data
    assert {f"train.{name}" for name in given["train"]} <= known
    assert {f"train.ema.{name}" for name in given["train"]["ema"]} <= known
    assert set(given) <= known


def test_one_section_is_listed_and_a_wrong_one_is_told() -> None:
    text = keys_as_text("train.ema")
    assert text.startswith("train.ema: ")
    assert "train.ema.decay: float >= 0, < 1, default 0.999\n    The share" in text
    assert commands.show(keys="train.ema") == text
    with pytest.raises(InputError, match="did you mean 'train'"):
        keys_as_text("trian")


def test_the_schema_beside_the_recipes_is_today_s() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads((ROOT / "recipes/recipe.schema.json").read_text()) == SCHEMA


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_every_recipe_is_right_by_the_schema_and_names_it(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("# yaml-language-server: $schema=recipe.schema.json\n")
    node = parse(text, str(file), [])
    assert node
    assert wrong(node.plain) == []


def test_so_is_a_resolved_one() -> None:
    assert wrong(check_recipe("flowers32_classes", ["train.trackers=[wandb]"]).data) == []


@pytest.mark.parametrize(
    ("recipe", "where"),
    [
        ({"sed": 1}, "$"),
        ({"train": {"bach_size": 3}}, "$.train"),
        ({"train": {"batch_size": "x"}}, "$.train.batch_size"),
        ({"train": {"batch_size": 0}}, "$.train.batch_size"),
        ({"train": {"validate": {"every": "3 weeks"}}}, "$.train.validate.every"),
        ({"train": {"optimizer": {"lr": -1}}}, "$.train.optimizer"),
        ({"backbone": "unett"}, "$.backbone"),
        ({"backbone": {"name": "residual_unet", "wdths": [3]}}, "$.backbone"),
        ({"backbone": {"name": "residual_unet", "upsampler": "bilinaer"}}, "$.backbone"),
        ({"preprocess": "resize"}, "$.preprocess"),
        ({"dataset": {"on_error": "maybe"}}, "$.dataset"),
    ],
    ids=str,
)
def test_what_is_wrong_is_found(recipe: dict[str, Any], where: str) -> None:
    assert wrong({"extends": "quickstart.yaml", **recipe}) == [where]


def test_a_recipe_that_extends_none_needs_its_sections() -> None:
    assert set(wrong({"name": "a"})) == {"$"}
    assert wrong({"extends": "quickstart"}) == []


def test_stages_of_a_plugin_file_are_in_it(tmp_path: Path) -> None:
    (file,) = [f for f in commands.new("sampler", "mine", out=tmp_path) if f.name == "mine.py"]
    made = commands.schema(plugins=[file], out=tmp_path / "recipe.schema.json")
    assert json.loads((tmp_path / "recipe.schema.json").read_text()) == made
    check = jsonschema.Draft202012Validator(made)
    for eta, right in ((1, True), (2, False)):
        sampler = {"name": "mine", "eta": eta}
        assert check.is_valid({"extends": "a", "sample": {"sampler": sampler}}) == right


def test_only_a_schema_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(InputError, match=r"a\.json is there and is no schema"):
        schema(out=tmp_path / "a.json")
    schema(out=tmp_path / "b.json")
    schema(out=tmp_path / "b.json")


def test_a_packaged_recipe_is_extended_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: quickstart\nseed: 3\n")
    loaded = check_recipe(tmp_path / "mine.yaml")
    assert (loaded.recipe.seed, loaded.recipe.name) == (3, "mine")
    assert loaded.data["dataset"] == check_recipe("quickstart").data["dataset"]
    (tmp_path / "mine.yaml").write_text("extends: quickstat\n")
    with pytest.raises(InputError, match="nor a packaged recipe of this name; did you mean quick"):
        check_recipe(tmp_path / "mine.yaml")


def test_another_name_drops_the_options_of_the_stage_before() -> None:
    loaded = check_recipe("quickstart", ["train.lr_schedule.name=constant"])
    assert loaded.data["train"]["lr_schedule"] == {"name": "constant"}
    same = check_recipe("quickstart", ["train.lr_schedule.name=cosine"])
    assert same.data["train"]["lr_schedule"]["warmup_steps"] == 50


@pytest.mark.parametrize("turn", [1, -1])
def test_options_set_beside_a_name_stay_in_any_order(turn: int) -> None:
    changes = ["train.lr_schedule.warmup_steps=7", "train.lr_schedule.name=cosine"]
    changes += ["train.lr_schedule.total_steps=70"]
    loaded = check_recipe("flowers_ddim", changes[::turn])
    assert loaded.data["train"]["lr_schedule"] == {
        "name": "cosine",
        "total_steps": 70,
        "warmup_steps": 7,
    }


def test_a_stage_in_a_list_takes_anothers_place() -> None:
    listed = check_recipe("quickstart", ["preprocess.resize=center_crop"]).data["preprocess"]
    assert [stage["name"] for stage in listed] == ["center_crop", "center_crop"]


def test_a_comment_in_set_is_told() -> None:
    with pytest.raises(InputError, match="'# few' would be a comment"):
        check_recipe("quickstart", ["sample.num_images=8 # few"])
