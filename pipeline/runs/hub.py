"""Exported runs on a model hub: ``hf://user/name`` is a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError
from .exported import PARTS
from .layout import RUN

_ADDRESS = re.compile(r"hf:/{1,2}([\w.-]+/[\w.-]+)$")
"""A path in the shell loses one of the two slashes."""

HUB = ("huggingface_hub", "httpx", "httpx2", "requests")
"""Whose errors are the hub's: what it speaks through changes with its version."""


def address_of(run: str | Path) -> str | None:
    """``user/name`` where RUN is an address on the hub; None for any other. InputError for half."""
    text = str(run)
    if not text.startswith("hf:/"):
        return None
    found = _ADDRESS.match(text)
    if not found:
        raise InputError(f"{text}: should be like hf://user/name")
    return found[1]


def fetched(address: str) -> Path:
    """The folder of an exported run that the hub has, in its own cache; what is there is kept.

    InputError where it cannot be had, or is no exported run.
    """
    hub = library()
    wanted = [RUN, "recipe.yaml", "*.md", "*.html", "*.json", "*.jsonl", "*.png", "plugins/*"]
    with explaining(f"hf://{address}"):
        patterns = [*wanted, *(f"{part}/*" for part in PARTS)]
        folder = Path(hub.snapshot_download(address, allow_patterns=patterns))
    if not (folder / RUN).is_file():
        raise InputError(f"hf://{address}: is no exported run, it has no {RUN}")
    return folder


def library() -> Any:
    """The hub's own library. InputError where it is not installed."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError(
            "hf://: needs huggingface_hub: pip install 'diffusion-pipeline[hub]'"
        ) from error
    return huggingface_hub


@contextmanager
def explaining(address: str) -> Iterator[None]:
    """InputError in a line for what the hub's library raises."""
    try:
        yield
    except Exception as error:
        package = type(error).__module__.split(".")[0]
        if package not in HUB and not isinstance(error, OSError):
            raise
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{address}: {said}") from error
