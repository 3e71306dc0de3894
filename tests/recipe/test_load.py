"""What a recipe becomes: defaults, inheritance, overrides, and back to text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from pipeline.errors import InputError
from pipeline.plugin.registry import Registry
from pipeline.recipe.catalogue import plugins
from pipeline.recipe.load import build_recipe, check_recipe, load
from pipeline.recipe.show import diff, recipe_as_yaml, recipe_differences, show
from pipeline.recipe.yaml12 import parse
from tests.helpers.recipe_stages import BASE, PLUGIN, problems


def test_defaults_are_filled_in_and_origins_known(registry: Registry, write) -> None:
    loaded = load(write(), ["train.optimizer.lr=1e-2"], registry=registry)
    recipe = loaded.recipe
    assert recipe.name == "x" == loaded.base
    assert recipe.train.optimizer.lr == 0.01
    assert recipe.backbone.upsampler.kernel == 3
    assert recipe.train.ema.warmup is True
    assert loaded.origins["dataset.name"] == "x.yaml:1:10"
    assert loaded.origins["preprocess.1.size"] == "x.yaml:2:41"
    assert loaded.origins["backbone.widths"] == "x.yaml:6:31"
    assert loaded.origins["train.optimizer.lr"] == "--set"
    assert loaded.origins["train.optimizer.name"] == loaded.origins["name"] == "default"
    assert loaded.origins["dataset.root"] == "default"


def test_show_is_a_recipe_with_origins(registry: Registry, write) -> None:
    loaded = load(write(), registry=registry)
    text = recipe_as_yaml(loaded)
    assert "  name: flowers" in text
    assert text.count("# ") == len(loaded.origins)
    assert len({line.index("  #") for line in text.splitlines() if "#" in line}) == 1
    again = load(write(text, "again.yaml"), registry=registry)
    assert again.data == loaded.data
    assert "default" not in again.origins.values()
    assert recipe_differences(loaded, again) == "no difference"


def test_commands_take_recipe_files_and_plugin_files(registry, write, tmp_path: Path) -> None:
    file, changed = write(), write("extends: x.yaml\nbackbone: {upsampler: down}\n", "y.yaml")
    stages = [tmp_path / "stages.py"]
    checked = check_recipe(changed, ["seed=7"], plugins=stages)
    assert checked.data["backbone"]["upsampler"] == {"name": "down", "factor": 2.0}
    assert "seed: 7" in show(changed, ["seed=7"], plugins=stages)
    assert diff(file, changed, plugins=stages) == "backbone.upsampler: up -> down"
    assert "sampler" in plugins(plugins=stages)
    assert plugins("sampler", "ddim", plugins=stages).startswith("sampler ddim, from ")


def test_commands_about_recipes_import_no_torch() -> None:
    modules = "pipeline.recipe.load, pipeline.recipe.show, pipeline.recipe.catalogue"
    code = f"import sys, {modules}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**63),
    widths=st.lists(st.integers(1, 9)),
    lr=st.floats(1e-12, 1e3, exclude_min=True),
    grid=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    every=st.sampled_from(["1 epoch", "3 epochs", "500 steps"]),
    root=st.text(min_size=1).filter(lambda s: "\0" not in s),
)
def test_resolved_builds_the_same_recipe(seed, widths, lr, grid, every, root) -> None:
    registry = REGISTRY()
    tree = parse(BASE, "x.yaml", [])
    assert tree is not None
    data = tree.plain | {
        "name": "x", "seed": seed, "dataset": {"name": "flowers", "root": root},
        "backbone": {"name": "net", "widths": widths, "loss": "mse"},
        "train": {"optimizer": {"name": "adamw", "lr": lr}, "validate": {"every": every}},
        "sample": {"grid": list(grid)},
    }  # fmt: skip
    recipe = build_recipe(registry, data, "given")
    again = build_recipe(registry, registry.plain(recipe), "given")
    assert again == recipe
    assert recipe.train.optimizer.lr == lr
    assert recipe.backbone.error == "mse"


def REGISTRY(made: list[Registry] = []) -> Registry:  # noqa: B006
    """One for all examples of a property."""
    if not made:
        from types import ModuleType

        from pipeline.plugin.registry import Provider

        module = sys.modules["stages_of_properties"] = ModuleType("stages_of_properties")
        exec(PLUGIN, vars(module))
        made.append(Registry())
        made[0].add(module, Provider("stages"))
    return made[0]


# extends ------------------------------------------------------------------------------------------


def test_extends_merges_mappings_and_replaces_the_rest(registry: Registry, write) -> None:
    write(BASE + "name: base\ntrain: {epochs: 3, optimizer: {name: adamw, lr: 0.5}}\n", "base.yaml")
    child = """\
extends: base.yaml
preprocess: [crop]
features: {name: inception, size: 75}
backbone: {upsampler: down}
train: {repeats: 2, optimizer: adamw}
"""
    loaded = load(write(child), registry=registry)
    recipe = loaded.recipe
    assert recipe.name == "x"  # a name is not inherited
    assert len(recipe.preprocess) == 1
    assert recipe.features.size == 75
    assert recipe.backbone.widths == (4, 8)
    assert recipe.backbone.upsampler.factor == 2
    assert (recipe.train.epochs, recipe.train.repeats, recipe.train.optimizer.lr) == (3, 2, 0.5)
    assert loaded.origins["train.epochs"] == "base.yaml:8:17"
    write("extends: x.yaml\ntrain: {optimizer: sgd}\n", "third.yaml")
    assert load("third.yaml", registry=registry).data["train"]["optimizer"] == {"name": "sgd"}


def test_extends_reaches_bare_names_below(registry: Registry, write) -> None:
    write(BASE, "base.yaml")
    loaded = load(write("extends: base.yaml\ndataset: {kind: tulip}\n"), registry=registry)
    assert loaded.recipe.dataset.kind == "tulip"


def test_wrong_parents_are_told(registry: Registry, write, tmp_path: Path) -> None:
    write("extends: b.yaml\n", "a.yaml")
    write("extends: a.yaml\n", "b.yaml")
    said = problems(registry, "a.yaml")
    assert said == ["b.yaml:1:10: extends: goes in a circle: a.yaml -> b.yaml -> a.yaml"]
    said = problems(registry, write("extends: bb.yaml\nseed: -1\n"))
    assert said[0].startswith("x.yaml:1:10: extends: there is no file bb.yaml")
    assert "did you mean b.yaml?" in said[0]
    assert said[1] == "x.yaml:2:7: seed: should be greater than or equal to 0, got -1"
    write("a: [", "b.yaml")
    assert problems(registry, write("extends: b.yaml"))[0].startswith("b.yaml:2:1: not YAML")
    assert problems(registry, write("extends: [a]\n")) == [
        "x.yaml:1:10: extends: should be the path of another recipe, got [a]"
    ]


# --set --------------------------------------------------------------------------------------------


def test_set_reaches_everything(registry: Registry, write) -> None:
    loaded = load(
        write(),
        [
            "backbone.upsampler=down", "backbone.upsampler.factor=3", "preprocess.resize.size=32",
            "features={name: inception, size: 75}", "dataset.root=far/away", "train.ema.decay=.5",
            "sample.sampler=ddpm", "backbone.widths=[1, 2]",
        ],
        registry=registry,
    )  # fmt: skip
    recipe = loaded.recipe
    assert recipe.backbone.upsampler.factor == 3
    assert recipe.preprocess[1].size == 32
    assert recipe.features.size == 75
    assert recipe.dataset.root == Path("far/away")
    assert loaded.data["sample"]["sampler"] == {"name": "ddpm"}
    assert loaded.changed == [
        "upsampler=down", "factor=3", "resize.size=32", "features=name-inception,size-75",
        "decay=.5", "sample.sampler=ddpm", "widths=1,2",
    ]  # fmt: skip
    again = load(
        "x.yaml", ["preprocess.1.size=16", "features=small", "evaluate=null"], registry=registry
    )
    assert again.recipe.preprocess[1].size == 16
    assert again.changed == ["size=16", "features=small", "evaluate=null"]
    assert "features: small -> inception" not in recipe_differences(loaded, again)
    assert "features: inception -> small" in recipe_differences(loaded, again)


def test_spacings_are_stages_that_recipes_name(registry: Registry, write) -> None:
    file = write(BASE + "sample: {spacing: karras}\n")
    loaded = load(file, registry=registry)
    assert loaded.data["sample"]["spacing"] == {"name": "karras"}
    assert loaded.data["train"]["validate"]["spacing"] == {"name": "uniform"}
    changed = load(file, ["sample.spacing=uniform"], registry=registry)
    assert changed.changed == ["sample.spacing=uniform"]
    assert recipe_differences(loaded, changed) == "sample.spacing: karras -> uniform"
    assert "no spacing is called 'karas'; did you mean 'karras'?" in problems(
        registry, file, "sample.spacing=karas"
    )[0]  # fmt: skip


def test_set_of_another_name_drops_options_and_of_the_same_keeps_them(registry, write) -> None:
    file = write(BASE + "train: {optimizer: {name: adamw, lr: 0.5}}\n")
    same = load(file, ["train.optimizer=adamw"], registry=registry)
    assert same.recipe.train.optimizer.lr == 0.5
    other = load(file, ["train.optimizer=sgd"], registry=registry)
    assert other.data["train"]["optimizer"] == {"name": "sgd"}
    assert recipe_differences(same, other) == "train.optimizer: adamw -> sgd"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("backbone.upsampler=upp", "backbone.upsampler: no upsampler is called 'upp'; did you"),
        ("backbone.upsampllr=up", "backbone.upsampllr: no option of backbone 'net' is called"),
        ("sede=1", "sede: no key is called 'sede'; did you mean 'seed'?"),
        ("seed=no", "seed: should be int >= 0, got 'no'"),
        ("seed=[1", "not YAML"),
        ("seed", "should be like backbone.upsampler=nearest"),
        ("seed.x=1", "seed.x: no key"),
        ("preprocess.rezise.size=3", "preprocess.rezise: the list holds crop, resize"),
        ("preprocess.7=crop", "preprocess.7: the list holds crop, resize"),
        ("train=", "train: should be a mapping, got nothing"),
        ("dataset=null", "dataset: should be the name of a dataset"),
    ],
)  # fmt: skip
def test_wrong_overrides_are_told(registry: Registry, write, text: str, said: str) -> None:
    if text == "seed.x=1":
        file, said = write(BASE + "seed: 3\n"), "seed.x: seed is 3 and has no keys"
    else:
        file = write()
    assert problems(registry, file, text)[0].startswith(f"--set {text}: {said}")


def test_name_by_hand_wins(registry: Registry, write) -> None:
    loaded = load(write(), ["seed=1"], registry=registry, name="mine")
    assert loaded.recipe.name == "mine"
    assert loaded.changed == ["seed=1"]
    with pytest.raises(InputError, match="--name: should match"):
        load("x.yaml", registry=registry, name="../up")


def test_text_that_is_not_quoted_counts_as_it_is_written(registry: Registry, write) -> None:
    """Whatever YAML would make of it: folders of classes have such names."""
    written = ["07", "010", "no", "null", "~", "1e3", "0x10", "1_000", "2024-01-01", "True", "+1"]
    changes = [f"sample.classes=[{', '.join(written)}]", "train.condition=class"]
    loaded = load(write(), changes, registry=registry)
    assert loaded.recipe.sample.classes == written
    assert loaded.recipe.sample.classes == build_recipe(registry, loaded.data, "x").sample.classes
    path = write(recipe_as_yaml(loaded))
    assert load(path, registry=registry).recipe.sample.classes == written
