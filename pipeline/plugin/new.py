"""The command ``pipeline plugins new``: a stage to begin from, with its test."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from ..errors import InputError
from .kinds import CONTRACTS

TEST = '''"""Whether the stage keeps its contract, as ``pipeline plugins check`` tries it."""

from pipeline.testing import check_KIND

from MODULE import CLASS


def test_it_keeps_its_contract() -> None:
    check_KIND(CLASS)
'''

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "DISTRIBUTION"
version = "0.1.0"
description = "The KIND NAME for diffusion-pipeline."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["diffusion-pipeline"]
keywords = ["diffusion-pipeline", "plugin"]
classifiers = ["Topic :: Scientific/Engineering :: Artificial Intelligence"]

[project.optional-dependencies]
test = ["pytest>=8.3"]

# Named after the module: that is how the pipeline finds it.
[project.entry-points.pipeline]
MODULE = "MODULE"

[tool.hatch.build.targets.wheel]
only-include = ["MODULE.py"]
"""

README = """\
# DISTRIBUTION

The KIND `NAME` for diffusion-pipeline.

    pip install -e '.[test]' && pytest
    pipeline plugins show KIND NAME
    pipeline plugins check KIND NAME
"""


def new(kind: str, name: str, *, package: bool = False, out: Path = Path()) -> list[Path]:
    """Write a stage that works and a test that passes, to be changed into your own.

    kind, name: such as ``sampler`` and ``heun3``; the name is what recipes will say.
    package: write a folder ``pipeline-NAME`` that pip installs, instead of a file for --plugin.
    out: the folder to write into.

    Returns the files that were written. Raises InputError for a kind that does not exist, a name
    that is no identifier in lower case, and where a file is there already: nothing is overwritten.
    """
    if kind not in CONTRACTS:
        raise InputError(
            f"there is no kind of stage called {kind}; there are: {', '.join(CONTRACTS)}"
        )
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise InputError(
            f"{name!r} cannot name a stage: take small letters, digits and _, such as my_{kind}"
        )
    texts = package_files(kind, name) if package else stage_files(kind, name, name)
    paths = [out / path for path in texts]
    for path in [out / next(iter(texts)).split("/")[0]] if package else paths:
        if path.exists():
            raise InputError(
                f"{path} is there already: take another name, or another folder by --out"
            )
    for path, text in zip(paths, texts.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return paths


def stage_files(kind: str, name: str, module: str) -> dict[str, str]:
    """A stage and its test: file name -> text."""
    template = (files(__package__) / f"templates/{kind}.txt").read_text(encoding="utf-8")
    return {
        f"{module}.py": _filled(template, kind, name, module),
        f"test_{module}.py": _filled(TEST, kind, name, module),
    }


def package_files(kind: str, name: str) -> Mapping[str, str]:
    """A distribution of one module: path -> text."""
    module = f"pipeline_{name}"
    folder = module.replace("_", "-")
    stage, test = stage_files(kind, name, module).items()
    return {
        f"{folder}/{stage[0]}": stage[1],
        f"{folder}/tests/{test[0]}": test[1],
        f"{folder}/pyproject.toml": _filled(PYPROJECT, kind, name, module),
        f"{folder}/README.md": _filled(README, kind, name, module),
    }


def _filled(text: str, kind: str, name: str, module: str) -> str:
    """The text with its words in capitals replaced."""
    words = {
        "CLASS": "".join(part.capitalize() for part in name.split("_")),
        "DISTRIBUTION": module.replace("_", "-"),
        "KIND": kind,
        "check_KIND": f"check_{kind}",
        "MODULE": module,
        "NAME": name,
        "TITLE": name.replace("_", " ").capitalize(),
    }
    return re.sub(rf"\b({'|'.join(words)})\b", lambda match: words[match[1]], text)
