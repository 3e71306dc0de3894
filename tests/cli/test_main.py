"""The command line: streams, exit codes, help, and what a person is told."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipeline.cli.main import cli
from pipeline.errors import InputError
from tests.helpers import tiny
from tests.helpers.tiny import RECIPE, main, run, shell

PLAIN = RECIPE.replace("augment: [trip]\n", "").replace("projection", "efficientnet_lite0")
"""With installed stages only."""

NOISE = ["printed by a stage", "written by a library", "buffered by a library"]


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group, as the words that are typed."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(commands(cli))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, [*words, "--help"], prog_name="pipeline")
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: {' '.join(['pipeline', *words])} ")
    command: click.Command = cli
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    assert command.help


def test_examples_in_help_can_be_typed() -> None:
    texts = [cli.help or "", *(command.epilog or "" for command in cli.commands.values())]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    examples = [line for line in lines if line.startswith("pipeline ")]
    assert len(examples) >= 10
    for example in examples:
        line = re.split(r" {2,}", example)[0]  # a remark follows
        name, *arguments = shlex.split(line)[1:]
        cli.commands[name].make_context(name, arguments).close()


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
sys.argv = ["pipeline", "--help"]
from pipeline.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"torch", "torchvision", "pydantic", "numpy", "h5py", "yaml", "scipy", "rich"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Commands:" in done.stdout


LIGHT = """
import sys
sys.argv = ["pipeline", *{arguments}]
from pipeline.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize("arguments", [["plugins"], ["cache", "ls"], ["cache", "gc", "--dry-run"]])
def test_what_needs_no_torch_imports_none(after_first: Path, arguments: list[str]) -> None:
    text = LIGHT.format(arguments=arguments)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_one_json_document_whatever_is_printed(after_first: Path) -> None:
    loud = ["--set", "sample.sampler=loud", "--set", "train.max_steps=8"]
    done = shell("run", "tiny.yaml", *loud, "--device", "cpu", "--json")
    found = json.loads(done.stdout)
    assert found["artifacts"]["samples"]["why"]
    assert found["scores"]["kid"]["protocol"]["num_real"] == 12
    assert "training goes on from step 7" in done.stderr
    assert all(text in done.stderr for text in NOISE)

    sampled = shell("sample", "tiny", "--sampler", "loud", "--device", "cpu", "--json")
    assert json.loads(sampled.stdout)["nfe"] == 1
    assert all(text in sampled.stderr for text in NOISE)


def test_a_person_reads_text(after_first: Path, capfd) -> None:
    assert main("run", "tiny.yaml", "--set", "sample.sampler=loud", "--device", "cpu") == 0
    told = capfd.readouterr().out
    assert "printed by a stage" in told
    assert re.search(r"model +[\d.]+ [kM]B +reused", told)
    assert re.search(r"samples +[\d.]+ [kM]B +built, because sampler changed: ddim -> loud", told)
    more = next(line for line in told.splitlines() if line.startswith("More images: "))
    words = shlex.split(more.removeprefix("More images: pipeline "))
    assert main(*words, "--device", "cpu", plugin=False) == 0
    assert len(list(Path("runs").glob("tiny-2/samples-*/grid.png"))) == 1


def test_the_store_as_json(after_first: Path, capfd) -> None:
    assert main("cache", "ls", "--json", plugin=False) == 0
    found = json.loads(capfd.readouterr().out)
    assert {one["kind"] for one in found} >= {"images", "features", "model", "samples", "training"}
    assert main("cache", "verify", "--json", plugin=False) == 0
    assert json.loads(capfd.readouterr().out) == {}
    (score,) = Path(".pipeline/artifacts/score").glob("*/score.json")
    score.write_text(score.read_text().replace("value", "VALUE"))
    assert main("cache", "verify", "--json", plugin=False) == 1
    assert list(json.loads(capfd.readouterr().out)) == [f"score/{score.parent.name}"]


MISTAKES = {
    "an option": (["run", "tiny.yaml", "--sett", "a=b"], "--set"),
    "a command": (["runn"], "run"),
    "a recipe": (["run", "tinny.yaml"], "did you mean tiny.yaml?"),
    "a key": (["run", "tiny.yaml", "--set", "backbone.upsampler=bilinaer"], "mean 'bilinear'?"),
    "a value": (
        ["validate", "tiny.yaml", "--set", "train.optimizer.lr=fast"],
        "train.optimizer.lr",
    ),
    "as json": (["run", "tiny.yaml", "--set", "seed=x", "--json"], "--set seed=x: seed: "),
    "a run": (["sample", "nothing"], "there is no such run"),
    "a grid": (["sample", "nothing", "--grid", "ten"], "is not like 10x8"),
    "a plugin": (["run", "tiny.yaml", "--plugin", "mine.py"], "plugin mine.py: no such file"),
    "a device": (["run", "tiny.yaml", "--device", "cuda:77"], "--device cuda:77"),
    "a stage": (["plugins", "show", "sampler", "dddim"], "did you mean 'ddim'?"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_without_a_traceback(here: Path, capfd, mistake: str) -> None:
    arguments, told = MISTAKES[mistake]
    Path("tiny.yaml").write_text(PLAIN)
    assert main(*arguments, plugin=False) == 2
    out, err = capfd.readouterr()
    assert told in err
    assert "Traceback" not in err
    assert out == "" or (mistake == "as json" and told in json.loads(out)["error"])
    assert not Path("runs").exists()


def test_divergence_is_a_failure(here: Path, capfd) -> None:
    assert main("run", "tiny.yaml", "--set", "train.optimizer.lr=1e30", "--device", "cpu") == 1
    told = capfd.readouterr().err
    assert "Lower train.optimizer.lr or set train.clip_gradients" in told
    assert "Traceback" not in told
    assert not Path("runs/tiny/run.json").exists()


@pytest.mark.parametrize(("number", "code"), [(15, 143), (2, 130)])
def test_sampling_can_be_interrupted(after_first: Path, capfd, number: int, code: int) -> None:
    loud = ["run", "tiny.yaml", "--set", "sample.sampler=loud", "--device", "cpu", "--json"]
    assert main(*loud, "--set", f"sample.sampler.signal={number}") == code
    out, err = capfd.readouterr()
    assert "the same command goes on" in err
    assert "Traceback" not in err
    assert "{" not in out
    assert "samples" in tiny.built(run("sample.sampler=loud"))
    assert "samples" in tiny.reused(run("sample.sampler=loud"))


@pytest.mark.measures_apart
def test_a_dry_run_tells_sizes_and_writes_nothing(here: Path) -> None:
    found = run("preprocess=[{name: resize, size: 8}]", dry_run=True)
    assert found["probe"]["shape"] == (3, 8, 8)
    assert found["probe"]["num_images"] == 60
    assert found["probe"]["num_train"] == 48
    assert found["probe"]["steps_per_epoch"] == 3
    assert found["probe"]["steps"] == 7
    expected = found["estimate"]
    assert expected["training_seconds"] == 7 * expected["seconds_a_step"] > 0
    assert expected["peak_memory"] > 0 < expected["evaluation_seconds"]
    # 3 validations: losses of 12 images twice, grids of 2 in 2 steps, 8 scored in 2; then 4 in 3
    # steps are drawn and 8 in 2 are scored, and as many of an untrained network.
    assert expected["evaluations"] == 3 * (24 + 4 + 16) + 12 + 2 * 16
    assert not Path("runs").exists()
    assert not Path(".pipeline").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            ["preprocess=[{name: resize, size: 18}]", "backbone.widths=[8, 8, 8]"],
            "18×18 pixels cannot be divided by 4",
        ),
        (["train.batch_size=64"], "train.batch_size 64 is larger than one epoch: 48 images"),
        (["dataset=image_folder", "dataset.root=nowhere"], "nowhere: no such folder"),
        (["dataset.num_images=1"], "1 images are too few"),
    ],
)
def test_what_only_the_data_can_tell_is_told_before_a_run(
    here: Path, changes: list[str], told: str
) -> None:
    for options in ({"dry_run": True}, {}):
        with pytest.raises(InputError, match=re.escape(told)):
            run(*changes, **options)
    assert not Path("runs").exists()


def test_the_exit_code_of_a_dry_run_says_whether_anything_is_wrong(here: Path, capfd) -> None:
    odd = ["--set", "dataset.size=18", "--set", "backbone.widths=[8, 8, 8]"]
    assert main("run", "tiny.yaml", "--dry-run", *odd) == 2
    assert "cannot be divided by 4" in capfd.readouterr().err
    assert main("run", "tiny.yaml", "--dry-run") == 0
    told = capfd.readouterr().out
    assert "tiny: nothing is wrong" in told
    assert "48 of them for training, 16×16" in told
    assert "only the first that can be read was opened" in told
    assert "time        about " in told
    assert "7 steps of " in told
    assert "at most in a training step, beyond libraries and images" in told
