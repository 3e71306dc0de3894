"""What a wrong recipe is told: all of it, where it is, and soon."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline.recipe.load import Loaded, load
from tests.helpers.recipe_stages import BASE, problems

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
        "x.yaml:8:16: sample.grid: 4 x 4 pictures are more than num_images 15; "
        "leave one of them out"
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
    monkeypatch.setattr("pipeline.recipe.merge.PACKAGED", (Path("recipes"),))
    assert load("quickstart", registry=registry).recipe.name == "quickstart"
    for wrong, meant in [("quikstart", "quickstart"), ("y.yaml", "x.yaml"), ("gone/quickstart.yaml", "quickstart")]:  # fmt: skip  # noqa: E501
        with pytest.raises(InputError, match=f"no such recipe; did you mean {meant}[?] There are"):
            load(wrong, registry=registry)
    with pytest.raises(InputError, match="is a folder"):
        load("recipes", registry=registry)


# Names come first ---------------------------------------------------------------------------------


def test_a_stage_whose_name_is_wrong_imports_nothing(registry: Registry, heavy: str) -> None:
    said = problems(registry, heavy, "backbone.name=bigg")
    assert len(said) == 1
    assert said[0].startswith(
        "--set backbone.name=bigg: backbone: no backbone is called 'bigg'; did you mean 'big'?"
    )
    assert "heavy_stage_module" not in sys.modules


def test_wrong_names_and_stages_that_cannot_be_imported_are_told_at_once(
    registry: Registry, heavy: str
) -> None:
    said = problems(registry, heavy, "schedule=cosin", "seed=x")
    heavy_fails = (
        "backbone 'big' of heavy_plugin (heavy 1.0) cannot be imported: ModuleNotFoundError"
    )
    assert len(said) == 3
    assert "no schedule is called 'cosin'; did you mean 'cosine'?" in said[0] + said[1]
    assert said[2].startswith(f"x.yaml:6:18: backbone: {heavy_fails}")
    assert problems(registry, heavy) == said[2:]


def test_a_stage_without_all_members_of_its_contract_is_refused(
    registry: Registry, write, monkeypatch
) -> None:
    lacking = {"metric": ["ideal", "needs"]}
    monkeypatch.setattr("pipeline.recipe.build.missing", lambda kind, stage: lacking.get(kind, []))
    said = problems(registry, write(BASE + "evaluate: {metrics: [kid]}\n"))
    assert len(said) == 1
    assert said[0].startswith("x.yaml:7:22: evaluate.metrics.0: metric 'kid' of ")
    assert said[0].endswith("stages.py lacks ideal, needs: see docs/plugins.md")


def test_loading_is_quick(registry: Registry, write) -> None:
    file = write()
    start = time.perf_counter()
    loaded = load(file, registry=registry)
    assert isinstance(loaded, Loaded)
    assert time.perf_counter() - start < 0.5


LISTS = """
from typing import Annotated
from pydantic import Field
from pipeline import hookimpl, stage

@stage
class Lists:
    sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, max_length=2)]

@hookimpl
def register_backbones():
    return {"lists": Lists}
"""


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([0], "backbone.sizes.0: should be greater than or equal to 1, got 0"),
        ([], "backbone.sizes: should have at least 1 item after validation, not 0, got []"),
        ([1, 2, 3], "backbone.sizes: should have at most 2 items after validation, not 3"),
    ],
)
def test_a_wrong_list_is_one_problem(tmp_path, sizes, said):
    (tmp_path / "lists.py").write_text(LISTS)
    registry = Registry.load([tmp_path / "lists.py"])
    with pytest.raises(InputError) as error:
        build_stage(registry, "backbone", {"name": "lists", "sizes": sizes})
    [line] = str(error.value).splitlines()
    assert line.startswith(f"given: {said}")
