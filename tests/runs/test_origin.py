"""What a run keeps so that others can make it again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import InputError, commands
from pipeline.plugin.registry import Registry
from pipeline.records import GitRecord
from pipeline.report.wording import git_words
from pipeline.runs.origin import git_state, keep_plugins
from pipeline.store.fingerprints import sha256_of
from tests.helpers.tiny import STAGES, reused


def git(*words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *who, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_run_has_its_plugin_files_and_the_versions_of_what_made_it(after_first: Path) -> None:
    record = commands.open_run("tiny").record
    name = f"plugins/{STAGES.name}"
    assert record["plugin_files"] == {name: sha256_of(STAGES)}
    assert (after_first / "runs/tiny" / name).read_bytes() == STAGES.read_bytes()
    known = {"numpy": np.__version__, "torch": torch.__version__.partition("+")[0]}
    told = {name: value.partition("+")[0] for name, value in record["versions"].items()}
    assert told.items() >= known.items()
    assert {"diffusion-pipeline", "torchvision"} <= told.keys()


def test_a_copied_folder_is_run_again(after_first: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree("runs/tiny", copied)
    copy = copied / "plugins" / STAGES.name
    with pytest.raises(InputError, match=f"read them, then give --plugin {copy}"):
        commands.run(copied / "recipe.yaml", device="cpu")
    found = commands.run(copied / "recipe.yaml", plugins=[copy], device="cpu")
    assert reused(found) == found["artifacts"].keys()  # a copy is the same code
    shutil.rmtree("runs")
    found = commands.run(copied / "recipe.yaml", plugins=[copy], device="cpu")
    assert found["folder"] == "runs/tiny"


def test_a_recipe_without_copies_beside_it_has_its_own_errors_only(here: Path) -> None:
    with pytest.raises(InputError) as error:
        commands.run("tiny.yaml", device="cpu")
    assert "copies" not in str(error.value)


def test_files_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    files = [tmp_path / place / "mine.py" for place in "ab"]
    for file in files:
        file.parent.mkdir()
        file.write_text(f"# {file.parent.name}")
    kept = keep_plugins(files, tmp_path / "run")
    assert list(kept) == ["plugins/mine.py", "plugins/mine-2.py"]
    assert list(kept.values()) == list(map(sha256_of, files))
    files[0].write_text("# changed")
    assert keep_plugins(files, tmp_path / "run")["plugins/mine.py"] == sha256_of(files[0])


def test_the_state_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) is None
    git("init", "-q")
    assert git_state(tmp_path) is None  # no commit yet
    for name in ("a.yaml", "b c.yaml"):
        Path(name).write_text("name: a")
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "HEAD")
    assert git_state(tmp_path) == {"commit": commit, "changed": []}
    Path("b c.yaml").write_text("name: b")
    Path("unknown").touch()
    state = git_state(tmp_path)
    assert state == {"commit": commit, "changed": ["b c.yaml"]}
    assert git_words(state) == {"git": f"{commit[:12]}, changed since: b c.yaml"}
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) is None


def test_git_in_words() -> None:
    assert git_words(None) == {}
    state: GitRecord = {"commit": "0123456789abcdef", "changed": []}
    assert git_words(state) == {"git": "0123456789ab"}
    state["changed"] = list("abcde")
    assert git_words(state)["git"].endswith("changed since: a, b, c and 2 more")


def test_stages_tell_their_distributions(first: dict) -> None:
    registry = Registry.load([STAGES])
    files = [entry for entry in registry.entries() if entry.provider.distribution is None]
    assert files  # a plugin file has no version; its content is kept instead
    assert all(first["versions"].values())
