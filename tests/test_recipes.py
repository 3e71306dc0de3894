"""YAML, inheritance, overrides and every complaint about a recipe, with stages of our own."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.load import Loaded, build, diff, load, resolved, show
from pipeline.registry import Registry
from pipeline.yaml12 import Node, Origin, flow, parse

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

PLUGIN = '''
from pathlib import Path
from typing import Annotated, Literal
from pydantic import Field
from pipeline import IOOnly, Stage, hookimpl, stage

@stage
class Flowers:
    root: Annotated[Path, IOOnly()] = Path("data")
    kind: Literal["rose", "tulip"] = "rose"

@stage
class Plain:
    """No options."""

@stage
class Other:
    """No options."""

@stage
class Resize:
    size: Annotated[int, Field(ge=1)]

@stage
class Up:
    kernel: int = 3

@stage
class Down:
    factor: float = 2.0

@stage
class Net:
    widths: tuple[Annotated[int, Field(ge=1)], ...] = (8, 16)
    error: Annotated[Literal["mae", "mse"], Field(alias="loss")] = "mae"
    upsampler: Annotated[object, Stage("upsampler")] = Up()

@stage
class Adam:
    lr: Annotated[float, Field(gt=0)] = 1e-3

@stage
class Score:
    blocks: int = 4
    features: Annotated[object, Stage("features")] | None = None

def _hook(**stages):
    return hookimpl(lambda: stages)

register_datasets = _hook(flowers=Flowers, plain=Other)
register_preprocessors = _hook(crop=Plain, resize=Resize)
register_codecs = _hook(pixels=Plain)
register_schedules = _hook(cosine=Plain)
register_objectives = _hook(denoising=Plain)
register_backbones = _hook(net=Net)
register_upsamplers = _hook(up=Up, down=Down)
register_optimizers = _hook(adamw=Adam, sgd=Other)
register_lr_schedules = _hook(constant=Plain)
register_samplers = _hook(ddim=Plain, ddpm=Other)
register_features = _hook(inception=Resize, small=Plain)
register_metrics = _hook(kid=Score)
'''

BASE = """\
dataset: flowers
preprocess: [crop, {name: resize, size: 8}]
features: small
schedule: cosine
objective: denoising
backbone: {name: net, widths: [4, 8]}
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr("pipeline.registry.metadata.entry_points", lambda group: [])
    file = tmp_path / "stages.py"
    file.write_text(PLUGIN)
    return Registry.load([file])


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str = BASE, name: str = "x.yaml") -> str:
        Path(name).write_text(text)
        return name

    return write


def problems(registry: Registry, file: str, *overrides: str) -> list[str]:
    with pytest.raises(InputError) as error:
        load(file, overrides, registry=registry)
    return str(error.value).splitlines()


# YAML -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("no", "no"), ("yes", "yes"), ("on", "on"), ("010", 10), ("0o10", 8),
        ("0x1F", 31), ("-7", -7), ("+.5", 0.5), ("1.", 1.0), (".inf", float("inf")),
        ("-.INF", float("-inf")), ("True", True), ("tRUE", "tRUE"), ("~", None), ("", None),
        ("NULL", None), ("2020-01-01", "2020-01-01"), ("1:30", "1:30"), ("1_000", "1_000"),
        ("'5'", "5"), ('"no"', "no"), ("0b1", "0b1"), (".", "."), ("1e", "1e"), ("null ", None),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = []
    node = parse(f"a: {text}\n", "f", found)
    assert node is not None
    assert not found
    assert node.plain == {"a": value}
    assert type(node.value["a"].value) is type(value)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
DATA = st.recursive(SCALARS, lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=20)


@given(DATA)
def test_flow_is_read_back(value: object) -> None:
    found = []
    node = parse(flow(value), "f", found)
    assert node is not None
    assert not found
    assert node.plain == value


@given(DATA)
def test_what_pyyaml_quotes_is_read_alike(value: object) -> None:
    """The standard writer quotes all text that anyone could take for something else."""
    text = yaml.safe_dump(value, default_style='"') if isinstance(value, str) else None
    if text:
        node = parse(text, "f", [])
        assert node is not None
        assert node.plain == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1,\nb: 2\n", "f:3:1: not YAML"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "f:4:3: b.c: is given twice, first at f:3:3"),
        ("a: 1\n2: 3\n", "f:2:1: key 2: keys are text"),
        ("? [a]\n: 1\n", "f:1:3: key a list or mapping"),
        ("a: !!python/object/apply:os.system [ls]\n", "f:1:4: a: tag"),
        ("a: &x [*x]\n", "f:1:8: a.0: *x holds itself"),
        ("a: *x\n", "f:1:4: a: *x: no such anchor"),
        ("a: &x {b: 1}\n<<: *x\n", "f:2:1: '<<' is not in YAML 1.2"),
        ("a: 1\n---\nb: 2\n", "f:2:1: a second document"),
        ("a: \x07\n", "f:1:4: not YAML: control characters"),
        ("a: " + "[" * 10_000, "f:1:54: a.0.0: nested more than 50 deep"),
        ("a: " + "9" * 5000, "f:1:4: a: a number of 5000 digits"),
    ],
)
def test_bad_yaml_is_told_with_its_place(text: str, said: str) -> None:
    found = []
    parse(text, "f", found)
    assert str(found[0]).startswith(said)


def test_aliases_work_but_cannot_blow_up() -> None:
    node = parse("a: &x [1, 2]\nb: *x\n", "f", [])
    assert node is not None
    assert node.plain == {"a": [1, 2], "b": [1, 2]}
    lines = ["a0: &a0 [x]"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)
    ]
    found, start = [], time.perf_counter()
    assert parse("\n".join(lines), "f", found) is None
    assert "more than 20000 values" in str(found[0])
    assert time.perf_counter() - start < 1


# What is loaded -----------------------------------------------------------------------------------


def test_defaults_are_filled_in_and_origins_known(registry: Registry, write) -> None:
    loaded = load(write(), ["train.optimizer.lr=1e-2"], registry=registry)
    recipe = loaded.recipe
    assert recipe.name == "x" == loaded.base
    assert recipe.train.optimizer.lr == 0.01
    assert recipe.backbone.upsampler.kernel == 3
    assert recipe.train.ema.warmup is True
    assert loaded.origins["dataset.name"] == "x.yaml:1:10"
    assert loaded.origins["preprocess.1.size"] == "x.yaml:2:39"
    assert loaded.origins["backbone.widths"] == "x.yaml:6:32"
    assert loaded.origins["train.optimizer.lr"] == "--set"
    assert loaded.origins["train.optimizer.name"] == loaded.origins["name"] == "default"
    assert loaded.origins["dataset.root"] == "default"


def test_show_is_a_recipe_with_origins(registry: Registry, write) -> None:
    loaded = load(write(), registry=registry)
    text = show(loaded)
    assert "  name: flowers" in text
    assert text.count("# ") == len(loaded.origins)
    assert len({line.index("  #") for line in text.splitlines() if "#" in line}) == 1
    again = load(write(text, "again.yaml"), registry=registry)
    assert again.data == loaded.data
    assert "default" not in again.origins.values()
    assert resolved(loaded.recipe, registry) == loaded.data
    assert diff(loaded, again) == "no difference"


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
    recipe = build(Node.of(data, Origin("given")), registry)
    again = build(Node.of(resolved(recipe, registry), Origin("given")), registry)
    assert again == recipe
    assert recipe.train.optimizer.lr == lr
    assert recipe.backbone.error == "mse"


def REGISTRY(made: list[Registry] = []) -> Registry:  # noqa: B006
    """One for all examples of a property."""
    if not made:
        from types import ModuleType

        from pipeline.registry import Provider

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


def test_extends_wrongly(registry: Registry, write, tmp_path: Path) -> None:
    write("extends: b.yaml\n", "a.yaml")
    write("extends: a.yaml\n", "b.yaml")
    said = problems(registry, "a.yaml")
    assert "b.yaml:1:10: extends: goes in a circle: a.yaml -> b.yaml -> a.yaml" in said
    said = problems(registry, write("extends: bb.yaml\nseed: -1\n" + BASE))
    assert said[0].startswith("x.yaml:1:10: extends: there is no file bb.yaml")
    assert "did you mean b.yaml?" in said[0]
    assert said[1].startswith("x.yaml:2:7: seed:")
    assert problems(registry, write("extends: [a]\n"))[-1].startswith(
        "x.yaml:1:10: extends: should"
    )


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
    assert "features: small -> inception" not in diff(loaded, again)
    assert "features: inception -> small" in diff(loaded, again)


def test_set_of_another_name_drops_options_and_of_the_same_keeps_them(registry, write) -> None:
    file = write(BASE + "train: {optimizer: {name: adamw, lr: 0.5}}\n")
    same = load(file, ["train.optimizer=adamw"], registry=registry)
    assert same.recipe.train.optimizer.lr == 0.5
    other = load(file, ["train.optimizer=sgd"], registry=registry)
    assert other.data["train"]["optimizer"] == {"name": "sgd"}
    assert diff(same, other) == "train.optimizer: adamw -> sgd"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("backbone.upsampler=upp", "backbone.upsampler: no upsampler is called 'upp'; did you mean"),
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
def test_set_wrongly(registry: Registry, write, text: str, said: str) -> None:
    if text == "seed.x=1":
        file, said = write(BASE + "seed: 3\n"), "seed.x: seed is 3 and has no keys"
    else:
        file = write()
    assert problems(registry, file, text)[0].startswith(f"--set {text}: {said}")


def test_name_by_hand_wins(registry: Registry, write) -> None:
    loaded = load(write(), ["seed=1"], registry=registry, name="mine")
    assert loaded.recipe.name == "mine"
    assert loaded.changed == ["seed=1"]
    with pytest.raises(InputError, match="--name: name: should match"):
        load("x.yaml", registry=registry, name="../up")


# Complaints ---------------------------------------------------------------------------------------

BAD = """\
sed: 3
dataset: {name: flowers, kind: rosee, roots: x}
preprocess: [crp, {name: resize, siz: 8}]
objective: denoising
schedule:
backbone: {name: net, widths: [4, -8], loss: mea, upsampler: upp}
train:
  epochs: "50"
  batch_size: true
  ema: {decay: 2}
  optimizer: {lr: fast}
  validate: {every: 1 apoch, metrics: [kid]}
sample: {grid: [3], num_steps: 2.5}
evaluate: {split: validaton, metrics: kid}
"""


def test_all_errors_at_once_each_with_its_place(registry: Registry, write) -> None:
    expected = """\
x.yaml:1:1: sed: no key is called 'sed'; did you mean 'seed'?
x.yaml:2:32: dataset.kind: should be 'rose' or 'tulip' (did you mean 'rose'?), got 'rosee'
x.yaml:2:39: dataset.roots: no option of dataset 'flowers' is called 'roots'; did you mean 'root'?
x.yaml:3:14: preprocess.0: no preprocessor is called 'crp'; did you mean 'crop'?
x.yaml:3:19: preprocess.1.size: is missing; give it as int >= 1
x.yaml:3:34: preprocess.1.siz: no option of preprocessor 'resize' is called 'siz'; did you mean
x.yaml:5:10: schedule: should be the name of a schedule, or a mapping with its name and options
x.yaml:6:35: backbone.widths.1: should be greater than or equal to 1, got -8
x.yaml:6:46: backbone.loss: should be 'mae' or 'mse' (did you mean 'mse'?), got 'mea'
x.yaml:6:62: backbone.upsampler: no upsampler is called 'upp'; did you mean 'up'?
x.yaml:8:11: train.epochs: should be int >= 1, got '50'
x.yaml:9:15: train.batch_size: should be int >= 1, got true
x.yaml:10:16: train.ema.decay: should be less than 1, got 2
x.yaml:11:19: train.optimizer.lr: should be float > 0, got 'fast'
x.yaml:12:21: train.validate.every: should be like '1 epoch', '500 steps' or '5 minutes'
x.yaml:12:40: train.validate.metrics.0: needs features: name some in the recipe
x.yaml:13:16: sample.grid: should be [int >= 1, int >= 1]
x.yaml:13:32: sample.num_steps: should be a whole number, got 2.5
x.yaml:14:19: evaluate.split: should be 'validation' or 'train' (did you mean 'validation'?)
x.yaml:14:39: evaluate.metrics: should be a list of metric stages, got 'kid'
"""
    said = problems(registry, write(BAD))
    assert len(said) == len(expected.splitlines())
    for line, start in zip(said, expected.splitlines(), strict=True):
        assert line.startswith(start)


def test_rules_across_sections(registry: Registry, write) -> None:
    file = write(BASE + "evaluate: {metrics: [kid]}\nsample: {grid: [4, 4], num_images: 15}\n")
    assert problems(registry, file) == [
        "x.yaml:8:16: sample.grid: 4 x 4 pictures are more than num_images 15; change one of them"
    ]
    said = problems(registry, file, "sample.grid=[1, 1]", "features=null")
    assert len(said) == 1
    assert said[0].startswith("x.yaml:7:22: evaluate.metrics.0: needs features")
    load(file, ["sample.grid=[3, 5]", "features=null", "evaluate.metrics.kid.features=small"],
         registry=registry)  # fmt: skip


def test_missing_keys_and_strange_files(registry: Registry, write, tmp_path: Path) -> None:
    said = problems(registry, write("seed: 1\n"))
    assert [line.split(": ")[1] for line in said] == [
        "dataset",
        "schedule",
        "objective",
        "backbone",
    ]
    assert said[0].startswith("x.yaml:1:1: dataset: is missing")
    assert "flowers, plain" in said[0]
    assert problems(registry, write("")) == ["x.yaml:1:1: should be a mapping of settings"]
    assert problems(registry, write("- a\n")) == ["x.yaml:1:1: should be a mapping of settings"]
    Path("x.yaml").write_bytes(b"a: \xff")
    assert problems(registry, "x.yaml")[0].startswith("x.yaml: cannot be read: ")


def test_a_missing_recipe_says_which_there_are(registry: Registry, write, monkeypatch) -> None:
    Path("recipes").mkdir() if not Path("recipes").exists() else None
    write()
    write(BASE, "recipes/quickstart.yaml")
    monkeypatch.setattr("pipeline.load.PACKAGED", (Path("recipes"),))
    assert load("quickstart", registry=registry).recipe.name == "quickstart"
    for wrong, meant in [("quikstart", "quickstart"), ("y.yaml", "x.yaml"), ("gone/quickstart.yaml", "quickstart")]:  # fmt: skip  # noqa: E501
        with pytest.raises(InputError, match=f"no such recipe; did you mean {meant}[?] There are"):
            load(wrong, registry=registry)
    with pytest.raises(InputError, match="is a folder"):
        load("recipes", registry=registry)


# Nothing is imported to find a wrong name --------------------------------------------------------

HEAVY = """
import heavy_library_that_is_not_there as heavy
from typing import Annotated
from pydantic import Field
from pipeline import Stage, stage

@stage
class Big(heavy.Module):
    widths: tuple[Annotated[int, Field(ge=1)], ...] = (1,)
    error: Annotated[int, Field(alias="loss")] = heavy.mae
    other: heavy.Other | None = None
    upsampler: Annotated[object, Stage("upsampler")] = heavy.Up()
"""


@pytest.fixture
def heavy(registry: Registry, write, tmp_path: Path, monkeypatch) -> str:
    from types import ModuleType

    from pipeline import hookimpl
    from pipeline.registry import Provider

    (tmp_path / "heavy_stage_module.py").write_text(HEAVY)
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = ModuleType("heavy_plugin")
    plugin.register_backbones = hookimpl(lambda: {"big": "heavy_stage_module:Big"})  # type: ignore[attr-defined]
    registry.add(plugin, Provider("heavy_plugin", "heavy", "1.0"))
    return write(BASE.replace("{name: net, widths: [4, 8]}", "{name: big, widths: [2], loss: 3}"))


def test_wrong_names_are_told_without_importing_stages(registry: Registry, heavy: str) -> None:
    said = problems(registry, heavy, "backbone.upsampler=upp", "schedule=cosin", "seed=x")
    assert len(said) == 3
    assert "heavy_stage_module" not in sys.modules
    assert "no upsampler is called 'upp'; did you mean 'up'" in said[2]


def test_options_are_checked_by_the_stage_itself(registry: Registry, heavy: str) -> None:
    said = problems(registry, heavy, "backbone.widths=[0]", "schedule=cosin")
    assert said[1].startswith(
        "x.yaml:6:18: backbone: backbone 'big' of heavy_plugin (heavy 1.0) cannot be imported: ModuleNotFoundError: No module named 'heavy_library"
    )
    assert problems(registry, heavy) == said[1:]


def test_loading_is_quick(registry: Registry, write) -> None:
    file = write()
    start = time.perf_counter()
    loaded = load(file, registry=registry)
    assert isinstance(loaded, Loaded)
    assert time.perf_counter() - start < 0.5
