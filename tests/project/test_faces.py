"""Authors of plugins need ``pipeline`` alone, and importing it costs next to nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from textwrap import dedent

import pytest

import pipeline
from tests.helpers.paths import ROOT

FACES = {"pipeline", "pipeline.commands", "pipeline.testing"}
HEAVY = {"torch", "torchvision", "pydantic", "pydantic_core", "scipy", "numpy", "PIL", "yaml"}


def sources() -> dict[str, str]:
    """All code that authors read: by file, and each Python block of a page."""
    files = [f for folder in ("plugins", "examples") for f in (ROOT / folder).rglob("*.py")]
    found = {str(f.relative_to(ROOT)): f.read_text("utf-8") for f in files}
    for page in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md"):
        blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
        name = page.relative_to(ROOT)
        found |= {f"{name}, block {i}": dedent(text) for i, text in enumerate(blocks, start=1)}
    return found


def imports(text: str) -> Iterator[tuple[str, list[str]]]:
    """The modules of ``pipeline`` that a text imports, with the names taken from them."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            named = [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            named = [(node.module or "", [alias.name for alias in node.names])]
        else:
            continue
        yield from (pair for pair in named if pair[0].partition(".")[0] == "pipeline")


SOURCES = sources()


def test_there_are_sources_to_look_at():
    assert sum("pipeline" in text for text in SOURCES.values()) > 60
    assert {name.partition("/")[0] for name in SOURCES} >= {"plugins", "examples", "docs"}


@pytest.mark.parametrize("name", SOURCES)
def test_what_authors_read_imports_from_the_faces_only(name):
    for module, names in imports(SOURCES[name]):
        assert module in FACES, f"{name} imports {module}"
        if module == "pipeline":
            assert set(names) <= {*pipeline.__all__, "commands", "testing"}, name


@pytest.mark.parametrize("name", pipeline.__all__)
def test_every_name_of_the_face_can_be_imported(name):
    assert getattr(pipeline, name) is not None


def test_editors_and_type_checkers_see_the_same_names():
    tree = ast.parse((ROOT / "pipeline" / "__init__.py").read_text("utf-8"))
    relative = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
    seen = {alias.name: node.module for node in relative for alias in node.names}
    assert seen == pipeline._HOMES


def test_no_name_is_there_twice_and_others_are_not_there():
    assert len(pipeline.__all__) == len(set(pipeline.__all__))
    with pytest.raises(AttributeError, match="module 'pipeline' has no attribute 'sampel'"):
        _ = pipeline.sampel


def test_importing_the_face_imports_nothing_heavy():
    program = f"import sys, pipeline; print(sorted({HEAVY!r} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert found.stdout.decode().strip() == "[]"
