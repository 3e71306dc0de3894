"""The conformance kit's frame: option sets, reports, the worker, and the command."""

from __future__ import annotations

import json
import pickle
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import pytest
import torch
from pydantic import Field

from pipeline import Rates, Stage, stage
from pipeline.errors import InputError
from pipeline.plugin.contracts import Upsampler
from pipeline.plugin.options import options
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from pipeline.testing import (
    ConformanceError,
    check_schedule,
    check_upsampler,
    common,
    examine,
)
from pipeline.testing.kinds import upsampler
from pipeline.testing.problems import analytic
from pipeline.testing.problems.analytic import GaussianData, noisy_levels, preserving
from pipeline.testing.report import Finding, Report
from pipeline.testing.same import same
from pipeline.testing.variants import context_of, variations
from pipeline.testing.worker import call_elsewhere
from pipeline_upsamplers.nearest import Nearest

REGISTRY = Registry.load()
MAIN = Path(sys.executable).with_name("pipeline")


@stage
class Straight:
    """A schedule with options of every type."""

    start: Annotated[float, Field(gt=0, lt=0.5)]
    """Noise at t = 0."""
    power: Annotated[int, Field(ge=1, le=3)] = 1
    """The power of t."""
    shape: Literal["line", "root"] = "line"
    """The curve of noise over t to this power."""
    ends: tuple[float, ...] = (0.0, 1.0)
    """Not read."""
    up: Annotated[Upsampler, Stage("upsampler")] | None = None
    """Not read."""

    examples: ClassVar = ({"start": 0.2, "power": 2}, {"start": 0.1, "shape": "root"})

    def __call__(self, t):
        share = t**self.power
        share = share if self.shape == "line" else (0.01 + 0.98 * share).sqrt()
        noise = self.start + (0.99 - self.start) * share
        return Rates(1.0 - noise, noise)


def straight(given=Straight):
    return context_of("schedule", given, REGISTRY, lambda schedule: schedule(torch.ones(2)))


def test_importing_the_kit_imports_no_torch():
    code = "import pipeline.testing, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_variants_are_the_given_stage_the_examples_and_what_no_example_changes():
    given = straight(Straight(start=0.3))
    assert [v.stage for v in given.variants] == [
        Straight(start=0.3),
        Straight(start=0.2, power=2),
        Straight(start=0.1, shape="root"),
        Straight(start=0.3, ends=(0.0,)),
        Straight(start=0.1, power=2, shape="root", ends=(0.0,)),
    ]
    labels = ["start=0.3", "start=0.2, power=2", "start=0.1, shape=root", "start=0.3, ends=[0.0]"]
    together = "start=0.1, power=2, shape=root, ends=[0.0]"
    assert [v.label for v in given.variants] == [*labels, together]
    # A class without defaults starts from its first example.
    assert [v.stage for v in straight().variants][:2] == [v.stage for v in given.variants[1:3]]


def test_a_class_without_defaults_or_examples_is_refused():
    @stage
    class Bare:
        start: float

    with pytest.raises(InputError, match="start: is missing"):
        context_of("schedule", Bare, REGISTRY, lambda _: None)


def test_values_to_try_are_of_other_sets_and_of_the_type():
    context = straight()
    tried = {
        name: [value for value, _ in variations(context, 0, option)]
        for name, option in options(Straight).items()
    }
    assert tried["start"][0] == 0.1
    assert all(0 < value < 0.5 for value in tried["start"])
    assert sorted(tried["power"]) == [1, 3]
    assert tried["shape"] == ["root"]
    assert [1.0, 0.0] in tried["ends"]
    assert tried["up"] == [e.name for e in REGISTRY.entries("upsampler")]


def test_options_that_do_nothing_are_all_named():
    report = examine("schedule", Straight, REGISTRY, only=lambda name: "option" in name)
    problem = report.problems["every option matters"]
    assert "option ends does nothing" in problem
    assert "option up does nothing: bilinear, nearest" in problem
    assert "option start" not in problem
    assert "option shape" not in problem


def test_a_failure_names_the_options_it_happened_with():
    @stage
    class Fails:
        steep: bool = False
        examples: ClassVar[Sequence] = ({"steep": True},)

        def __call__(self, t):
            return Rates(1 - t, t) if self.steep else Straight(start=0.1)(t)

    report = examine(
        "schedule", Fails, REGISTRY, only=lambda name: name == "rates are within bounds"
    )
    assert report.problems["rates are within bounds"].endswith("(with steep=true)")


def test_what_is_wrong_is_raised_as_the_table():
    with pytest.raises(ConformanceError) as error:
        check_schedule(Straight)
    assert isinstance(error.value, AssertionError)
    row = r"^every option matters +FAILED  option ends does nothing: "
    assert re.search(row, str(error.value), re.MULTILINE)
    assert error.value.report.kind == "schedule"
    report = check_upsampler(Nearest())
    assert report.ok
    assert report.name == "nearest"


def test_a_report_as_a_table_and_as_data():
    long = "word " * 30
    report = Report("sampler", "x", [Finding("a check", "fine"), Finding("b", "", long.strip())])
    lines = report.table().splitlines()
    assert lines[1] == "a check  ok      fine"
    assert lines[2].startswith("b        FAILED  word")
    assert lines[3].startswith("                 word")
    assert lines[-1] == "sampler x: 1 of 2 checks failed"
    assert max(map(len, lines)) <= 100
    assert json.loads(json.dumps(report.data()))["checks"][1]["problem"] == long.strip()
    assert not report.data()["ok"]


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.nan]), True),
        (torch.tensor([1.0]), torch.tensor([1.0 + 1e-6]), False),
        (torch.tensor([1.0]), torch.tensor([1.0]).double(), False),
        (torch.ones(2), torch.ones(2, 1), False),
        ({"a": [torch.ones(1)]}, {"a": [torch.ones(1)]}, True),
        ({"a": 1}, {"b": 1}, False),
        ((1, 2.0, None), (1, 2.0, None), True),
        ((1,), (1, 2), False),
        (np.arange(3), np.arange(3), True),
        (np.arange(3.0), np.arange(3.0) + 1e-9, False),
        (1, 1.0, False),
    ],
)
def test_same_is_bit_for_bit(a, b, equal):
    assert same(a, b) is equal
    assert same(b, a) is equal


def test_same_allows_rounding_if_asked():
    a, b = torch.tensor([1e-9, 1.0]), torch.tensor([2e-9, 1.0 + 2e-7])
    assert same(a, b, rounding=4)
    assert not same(a, b * 1.001, rounding=4)


def test_global_generators_are_restored_and_what_moves_is_told():
    before = torch.get_rng_state(), random.getstate(), pickle.dumps(np.random.get_state())
    with common.other_seeds() as moved:
        assert moved() == ""
        torch.rand(1)
        np.random.rand(1)
        random.random()
        assert moved().count("global generator") == 3
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert pickle.dumps(np.random.get_state()) == before[2]


def test_a_plugin_file_is_found_by_the_worker(tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    registry = Registry.load([file])
    made = build_stage(registry, "upsampler", "loud")
    there = call_elsewhere(upsampler.behaviour, made)
    assert same(upsampler.behaviour(made), there, rounding=100)


PLUGIN = '''
"""A plugin that prints."""
from torch import nn
from pipeline import hookimpl, stage

@stage
class Loud:
    """Nearest, aloud."""
    def __call__(self, channels):
        print("printed by a stage")
        return nn.Upsample(scale_factor=2)

@stage
class Short(Loud):
    """Leaves one row out."""
    def __call__(self, channels):
        return nn.Sequential(super().__call__(channels), nn.ZeroPad2d((0, 0, 0, -1)))

@hookimpl
def register_upsamplers():
    return {"loud": Loud, "short": Short}
'''


def test_the_command_says_whether_a_stage_passes(tmp_path: Path):
    (tmp_path / "mine.py").write_text(PLUGIN)

    def run(*words):
        command = [MAIN, "plugins", "check", *words, "--plugin", "mine.py"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    good = run("upsampler", "loud", "--json")
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["ok"]
    bad = run("upsampler", "short")
    assert bad.returncode == 1
    assert "FAILED  (2, 1, 4, 4) becomes (2, 1, 7, 8)" in bad.stdout
    assert "exit" not in bad.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sampler", "dim"], "no sampler is called 'dim'; did you mean 'ddim'?"),
        (
            ["sampler", "ddim", "--set", "eta=2"],
            "--set eta=2: eta: should be less than",
        ),
        (["sampler", "ddim", "--set", "etta=1"], "did you mean 'eta'?"),
        (["sampler", "ddim", "--set", "eta"], "should be like"),
        (["smapler", "ddim"], "did you mean 'sampler'?"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_input_is_told_in_a_line(words, message):
    from pipeline import commands

    overrides = words[3:] if len(words) > 3 else []
    with pytest.raises(InputError) as error:
        commands.check(words[0], words[1], overrides)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_uneven_levels_of_the_kit_are_uneven_and_end_where_the_even_ones_do():
    even, uneven = (
        noisy_levels(preserving, 6, sizes) for sizes in (analytic.even, analytic.uneven)
    )
    assert even[0] == uneven[0]
    assert even[-1] == uneven[-1]
    angles = torch.tensor([rates.noise for rates in uneven]).asin()
    steps = -angles.double().diff()
    torch.testing.assert_close(
        steps[::2] / steps[1::2], torch.full((3,), 2.0).double(), rtol=1e-3, atol=0
    )
    data = GaussianData([0.0], [[1.0]])
    assert data.at(even[0])[1].item() == pytest.approx(1)
