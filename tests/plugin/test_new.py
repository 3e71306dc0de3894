"""``pipeline plugins new``: what it writes works, and nothing is overwritten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import InputError
from pipeline.plugin.kinds import CONTRACTS
from pipeline.plugin.new import new
from pipeline.plugin.registry import Registry
from pipeline.testing.core import examine
from tests.helpers.paths import ROOT

DOCS = (ROOT / "docs/every-kind.md").read_text()


@pytest.mark.parametrize("kind", CONTRACTS)
def test_a_new_stage_keeps_its_contract_and_stands_in_the_docs(kind: str, tmp_path: Path) -> None:
    stage, test = new(kind, "mine", out=tmp_path)
    assert [stage.name, test.name] == ["mine.py", "test_mine.py"]
    registry = Registry.load([stage])
    report = examine(kind, registry.find(kind, "mine").load(), registry)
    assert report.ok, report.table()
    section = DOCS.partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
    assert f"```python\n{stage.read_text()}```\n" in section


def test_a_package_passes_its_own_test_and_is_found(tmp_path: Path) -> None:
    files = new("lr_schedule", "mine", package=True, out=tmp_path)
    folder = tmp_path / "pipeline-mine"
    assert {file.relative_to(folder).as_posix() for file in files} == {
        "README.md",
        "pipeline_mine.py",
        "pyproject.toml",
        "tests/test_pipeline_mine.py",
    }
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(installed), str(folder)], check=True)
    path = [str(installed), str(ROOT), str(ROOT / "plugins")]
    code = (
        f"import sys; sys.path[:0] = {path!r}\n"
        "from pipeline.plugin.registry import Registry\n"
        "print(Registry.load().find('lr_schedule', 'mine').provider.distribution)\n"
        f"import pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', {str(folder)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("pipeline-mine\n")
    assert "1 passed" in done.stdout


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("metrik", "mine", "no kind of stage called metrik; there are: dataset, "),
        ("metric", "Mine", "'Mine' cannot name a stage: .* such as my_metric"),
        ("metric", "my-own", "'my-own' cannot name"),
        ("metric", "lambda", "'lambda' cannot name"),
    ],
)
def test_wrong_words_are_refused(kind: str, name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        new(kind, name, out=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", ["mine.py", "test_mine.py", "pipeline-mine"])
def test_nothing_is_overwritten(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(InputError, match=f"{there} is there already"):
        new("sampler", "mine", package=there == "pipeline-mine", out=tmp_path)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["mine"]
