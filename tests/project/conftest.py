"""What is built, installed and run for the tests of the project."""

from __future__ import annotations

import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage
from tests.helpers.paths import ROOT
from tests.helpers.quickstart import QUICKSTART, Quickstart
from tests.helpers.strangers import BROKEN, COMMANDS, FILES, NAMES, RECIPE, pipeline


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where ``pipeline run recipes/quickstart.yaml`` was run."""
    folder = tmp_path_factory.mktemp("quickstart")
    command = [sys.executable, "-m", "pipeline", "run", str(QUICKSTART)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for place in ("samples.png", "scores.json", "history.jsonl"):
        assert place in done.stdout
        assert (folder / "runs/quickstart" / place).is_file()
    return folder


@pytest.fixture(scope="module")
def quickstart(finished: Path) -> Quickstart:
    return Quickstart(finished)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


@pytest.fixture(scope="session")
def lms_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip installed the example of a sampler."""
    return _installed("pipeline-lms", tmp_path_factory.mktemp("site"))


def _installed(example: str, site: Path) -> Path:
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", site]
    subprocess.run([*command, ROOT / "examples" / example], check=True, capture_output=True)
    return site


@pytest.fixture(scope="module")
def lms():
    return build_stage(
        Registry.load([ROOT / "examples/pipeline-lms/pipeline_lms.py"]), "sampler", "lms"
    )


@pytest.fixture(scope="module")
def broken_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages, each wrong in its own way; two have one entry point name."""
    site = tmp_path_factory.mktemp("broken")
    for package, source in {**{k: v[0] for k, v in BROKEN.items()}, **NAMES}.items():
        (site / f"{package}.py").write_text(source)
        info = site / f"{package}_dist-1.5.dist-info"
        info.mkdir()
        about = f"Metadata-Version: 2.1\nName: {package}-dist\nVersion: 1.5\n"
        (info / "METADATA").write_text(about)
        point = package.removesuffix("_too")
        (info / "entry_points.txt").write_text(f"[pipeline]\n{point} = {package}\n")
    return site


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command of the page prints, where quickstart is tiny."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "my_sampler.py").write_text(FILES[0])
    (folder / "recipes").mkdir()
    (folder / "recipes/quickstart.yaml").write_text(RECIPE.replace("SAMPLER", "ddim"))
    found = {}
    for line in COMMANDS:
        words = shlex.split(line, comments=True)
        assert words[0] == "pipeline"
        done = pipeline(folder, *words[1:])
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        found[" ".join(words)] = done.stdout
    return found
