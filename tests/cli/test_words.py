"""How much a command says, to whom, and what the shell completes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline import progress
from pipeline.cli.main import cli
from tests.helpers import tiny
from tests.helpers.paths import ROOT


def shell(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", *words]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("pipeline run quick", "plain,quickstart"),
        ("pipeline plugins show sam", "plain,sampler"),
        ("pipeline plugins show sampler ddi", "plain,ddim"),
        ("pipeline evaluate --metr", "plain,--metric"),
        ("pipeline comple", "plain,completion"),
    ],
)
def test_the_shell_is_offered(typed: str, offered: str) -> None:
    words = str(len(typed.split()) - 1)
    asked = {"_PIPELINE_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": words}
    done = shell(**asked)
    assert (done.returncode, done.stderr) == (0, "")
    assert offered in done.stdout.splitlines()


def test_runs_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs/mine").mkdir(parents=True)
    (tmp_path / "runs/mine/run.json").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'plugins'}")
    done = shell(_PIPELINE_COMPLETE="zsh_complete", COMP_WORDS="pipeline sample m", COMP_CWORD="2")
    assert "mine" in done.stdout.splitlines()


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_every_shell_has_its_completion(name: str) -> None:
    done = CliRunner().invoke(cli, ["completion", name])
    assert done.exit_code == 0
    assert "_PIPELINE_COMPLETE" in done.output


def test_sentences_of_help_are_whole() -> None:
    done = CliRunner().invoke(cli, ["--help"])
    assert "..." not in done.output.partition("Commands:")[2]


def test_an_error_is_a_document_too() -> None:
    done = shell("validate", "quickstart", "--set", "sed=1", "--json")
    assert done.returncode == 2
    assert "did you mean 'seed'?" in json.loads(done.stdout)["error"]
    assert "did you mean 'seed'?" in done.stderr


def test_show_and_plugins_as_data(capfd: pytest.CaptureFixture[str]) -> None:
    def data(*words: str) -> Any:
        assert tiny.main(*words, "--json", plugin=False) == 0
        return json.loads(capfd.readouterr().out)

    shown = data("show", "quickstart")
    assert shown["recipe"]["train"]["batch_size"] == 32
    assert "quickstart.yaml" in shown["origins"]["train.batch_size"]
    assert data("show", "--keys", "train.ema")[1]["path"] == "train.ema.decay"
    assert {"kind": "sampler", "name": "ddim"}.items() <= next(
        stage.items() for stage in data("plugins")["stages"] if stage["name"] == "ddim"
    )
    assert data("plugins", "show", "sampler", "ddim")["properties"]["eta"]["default"] == 0


def test_show_wants_a_recipe_or_keys() -> None:
    for words in (["show"], ["show", "quickstart", "--keys", "train"]):
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 2
        assert "give a RECIPE, or --keys alone" in done.output


def test_quiet_and_verbose(after_first: Path) -> None:
    more = ("--set", "train.max_steps=8", "--device", "cpu")
    quiet = tiny.shell("run", "tiny.yaml", *more, "-q")
    assert "training goes on" not in quiet.stderr
    assert "done in" in quiet.stdout
    verbose = tiny.shell("run", "tiny.yaml", *more, "-v")
    assert re.search(r"^model [0-9a-f]{12}: reused$", verbose.stderr, re.MULTILINE)
    assert re.search(r"^model ", quiet.stderr, re.MULTILINE) is None


def test_on_a_narrow_terminal_the_bar_goes_and_the_numbers_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    told = {}
    for columns in (60, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        with progress.progress("training", 4000, done=1234) as bar:
            bar.step(1, lambda: "loss 0.1234")
        told[columns] = capsys.readouterr().err
    assert "1235/4000" in told[60]
    assert "1235/4000" in told[120]
    assert "━" in told[120]
    assert "━" not in told[60]


def test_a_package_that_is_slow_to_import_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "slowpoke-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slowpoke\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pipeline]\npipeline_slow = pipeline_slow\n")
    (tmp_path / "pipeline_slow.py").write_text("import time\ntime.sleep(0.7)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}:{ROOT / 'plugins'}")
    done = shell("plugins")
    assert "slow: pipeline_slow" in done.stdout
    assert "took 0.7 s to import" in done.stdout


def test_a_reader_that_goes_away_is_no_plugins_fault() -> None:
    command = [sys.executable, "-m", "pipeline", "show", "--keys"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.wait(60) == 1
    assert process.stderr.read() == ""
