"""Recipes that no hand wrote: each is told in a line or two, and quickly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline import InputError
from pipeline.plugin.registry import Registry
from pipeline.recipe.load import load
from tests.helpers.recipe_stages import BASE


def refused(registry: Registry, recipe: str, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        load(recipe, overrides, registry=registry)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("? " * 20_000, "nested more than 50 deep"),
        ("[" * 20_000, "nest"),
        ("{a: " * 20_000, "nest"),
        ("- " * 20_000, "nested more than 50 deep"),
        ("a" * 2_000_000, "it has 2 MB, and a recipe a few kB"),
        ('extends: "a\\0b.yaml"', "there is no file"),
        (f"extends: {'a' * 5000}", "there is no file"),
        ("extends: loop", "there is no file"),
        ("extends: x.yaml", "goes in a circle: x.yaml -> x.yaml"),
    ],
)
def test_a_hostile_recipe_is_refused(registry: Registry, write, text: str, said: str) -> None:
    path = write(text)
    os.symlink("loop", "loop")
    assert said in refused(registry, path)


def test_a_long_chain_is_refused_and_a_short_one_is_not(registry: Registry, write) -> None:
    write(BASE, "0.yaml")
    for i in range(60):
        write(f"extends: {i}.yaml", f"{i + 1}.yaml")
    assert load("40.yaml", registry=registry).recipe.name == "40"
    assert "is a chain of more than 50 recipes" in refused(registry, "60.yaml")


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "loop", "loop.yaml", "a/" * 3000])
def test_what_can_be_no_recipes_name(registry: Registry, write, name: str) -> None:
    write()
    os.symlink("loop", "loop")
    assert "there is no such recipe" in refused(registry, name)


def test_a_deep_key_is_refused(registry: Registry, write) -> None:
    assert "a key of 3000 parts" in refused(registry, write(), ".".join("a" * 3000) + "=1")


@pytest.mark.parametrize("value", ["a #b", "{name: adamw} # c", "#a", "[1, 2] #", "3 # three"])
def test_a_comment_in_a_value_is_not_passed_over(registry: Registry, write, value: str) -> None:
    assert "would be a comment; put the value in quotes" in refused(
        registry, write(), f"train.optimizer={value}"
    )


def test_a_hash_in_quotes_or_in_a_word_is_text(registry: Registry, write) -> None:
    for value in ('"a #b"', "'#a'", "a#b"):
        assert "would be a comment" not in refused(registry, write(), f"name={value}")


def test_the_home_folder_has_its_short_name_everywhere(
    registry: Registry, write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write()
    write("extends: ~/x.yaml", "y.yaml")
    for recipe in ("~/x.yaml", "~/y.yaml", "y.yaml"):
        loaded = load(recipe, ["dataset.root=~/photos"], registry=registry)
        assert loaded.recipe.dataset.root == tmp_path / "photos"
