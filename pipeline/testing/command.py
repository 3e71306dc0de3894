"""The command ``pipeline plugins check``: a stage by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..plugin.registry import Registry
from .core import examine
from .report import Report
from .variants import overridden


def check(
    kind: str, name: str, overrides: Sequence[str] = (), *, plugins: Sequence[Path] = ()
) -> Report:
    """Examine whether a stage keeps the contract of its kind.

    ``overrides`` are options, such as ``eta=0.5``; ``plugins`` are files of plugins. Raises
    InputError for a stage that is not there and for options that it does not take.
    """
    registry = Registry.load(plugins)
    cls = registry.find(kind, name).load()
    stage = overridden(kind, name, cls, overrides, registry) if overrides else cls
    if kind == "dataset" and overrides:
        stage()  # what is not there is no fault of the stage
    return examine(kind, stage, registry)
