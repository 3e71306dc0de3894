"""A plugin package that a test writes and changes."""

from __future__ import annotations

import importlib
import json
from itertools import count
from pathlib import Path

from pipeline.plugin import identity

STAGE = '''
"""Module docstring."""
from ._helpers import factor

class Heun:
    """Class docstring."""
    order = 2
    """Field docstring."""
    def __call__(self, x):
        return factor * x  # a comment
'''

HELPERS = "from . import _deeper\nfactor = _deeper.two\n"

DEEPER = "two = 2\n"

numbers = count()


class Package:
    """A plugin package of its own name in a folder on sys.path, with or without a distribution."""

    def __init__(self, root: Path, direct_url: dict | None = None) -> None:
        self.name = f"plugin_under_test_{next(numbers)}"
        self.site = root / "site"
        self.folder = self.site / self.name
        self.folder.mkdir(parents=True)
        info = self.site / f"{self.name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {self.name}\nVersion: 1.2\n")
        if direct_url is not None:
            (info / "direct_url.json").write_text(json.dumps(direct_url))
        self.write("__init__", "hooks = 1")
        self.write("heun", STAGE)
        self.write("_helpers", HELPERS)
        self.write("_deeper", DEEPER)
        self.write("other", "unrelated = 1")

    def write(self, module: str, text: str) -> None:
        (self.folder / f"{module}.py").write_text(text)

    def identity(self) -> dict:
        cls = importlib.import_module(f"{self.name}.heun").Heun
        return new_identity(cls, self.name)


def new_identity(cls: type, distribution: str | None) -> dict[str, str | None]:
    """The identity of a class's code as another process would find it."""
    identity._identity.cache_clear()
    return identity.code_identity(cls, distribution)
