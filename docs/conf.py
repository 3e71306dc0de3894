"""The site: ``sphinx-build -W docs build/site`` makes it from these pages and from the code.

The pages of stages are generated, from what ``pipeline plugins show`` says of each.
"""

from __future__ import annotations

import re
from inspect import isclass
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

import pipeline
from pipeline.commands import plugins
from pipeline.plugin.kinds import CONTRACTS
from pipeline.plugin.registry import Registry

HERE = Path(__file__).parent

project = "pipeline"
author = "The pipeline authors"
copyright = "2026, The pipeline authors"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "pipeline"
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True


def write_stage_pages(_: Sphinx) -> None:
    """Write ``generated/stages/KIND.md``, a page for each kind with all of its stages."""
    folder = HERE / "generated/stages"
    folder.mkdir(parents=True, exist_ok=True)
    registry = Registry.load()
    index = ["# Every stage", "What `pipeline plugins show KIND NAME` says of all that is here."]
    index.append("```{toctree}\n" + "\n".join(CONTRACTS) + "\n```")
    (folder / "index.md").write_text("\n\n".join(index) + "\n")
    for kind, contract in CONTRACTS.items():
        said = (contract.__doc__ or "").strip().splitlines()[0]
        page = [f"# {kind}", said, f"Contract: `{contract.__name__}`, see [](../../api.md)."]
        for entry in registry.entries():
            if entry.kind == kind:
                page += [f"## {entry.name}", f"```text\n{plugins(kind, entry.name)}\n```"]
        (folder / f"{kind}.md").write_text("\n\n".join(page) + "\n")


def write_plugin_face(_: Sphinx) -> None:
    """Write ``generated/face.md``, for autodoc misses names that are imported when asked for."""
    page = ["# For authors of plugins: `pipeline`", "```{eval-rst}"]
    for name in pipeline.__all__:
        member = getattr(pipeline, name)
        kind = "class" if isclass(member) else "function" if callable(member) else "data"
        page.append(f".. auto{kind}:: pipeline.{name}")
        page += ["   :members:", "   :special-members: __call__"] * (kind == "class")
    (HERE / "generated/face.md").write_text("\n".join([*page, "```"]) + "\n")


def list_arguments(*given: Any) -> None:
    """The lines ``name: what it is`` of a docstring become a list."""
    lines: list[str] = given[-1]
    lines[:] = [re.sub(r"^(\w+(?:, \w+)*): ", r"* ``\1``: ", line) for line in lines]


def inside(_: Sphinx, __: str, source: list[str]) -> None:
    """Links to files of the repository that are not on the site become their paths."""
    source[0] = re.sub(r"\[([^\]]+)\]\(\.\./([^)]+)\)", r"\1 (`\2`)", source[0])
    kept = r"\[([^\]]+)\]\(((?:comparisons|time_to_quality)/[^)]+)\)"
    source[0] = re.sub(kept, r"\1 (`docs/\2`)", source[0])


def setup(app: Sphinx) -> None:
    """Connect both to Sphinx's events. Mermaid's pictures are shown as their text."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("builder-inited", write_stage_pages)
    app.connect("builder-inited", write_plugin_face)
    app.connect("autodoc-process-docstring", list_arguments)
    app.connect("source-read", inside)
