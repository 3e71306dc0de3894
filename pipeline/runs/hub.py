"""Exported runs on a model hub: ``hf://user/name`` is a run, and ``pipeline push`` makes one."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import InputError
from .exported import PARTS
from .layout import RUN
from .results import PushResult

_ADDRESS = re.compile(r"hf:/{1,2}([\w.-]+/[\w.-]+)$")
"""A path in the shell loses one of the two slashes."""


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
    hub = _library()
    wanted = [RUN, "recipe.yaml", "*.md", "*.html", "*.json", "*.jsonl", "*.png", "plugins/*"]
    with _explaining(f"hf://{address}"):
        patterns = [*wanted, *(f"{part}/*" for part in PARTS)]
        folder = Path(hub.snapshot_download(address, allow_patterns=patterns))
    if not (folder / RUN).is_file():
        raise InputError(f"hf://{address}: is no exported run, it has no {RUN}")
    return folder


def push(
    run: str | Path,
    address: str,
    *,
    private: bool = False,
    half: bool = False,
    raw: bool = False,
    images: bool = False,
    store: Path | None = None,
) -> PushResult:
    """Export a run as ``export`` does, and put it on the hub as ``user/name``.

    ``private``: where it is new, only its owner sees it. Who pushes is who has logged in (``hf auth
    login``) or ``HF_TOKEN``. InputError where the hub refuses.
    """
    from .export import export

    wanted = address_of(address) or address_of(f"hf://{address}")
    hub = _library()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "run"
        done = export(run, made, half=half, raw=raw, images=images, store=store)
        with _explaining(f"hf://{wanted}"):
            api = hub.HfApi()
            api.create_repo(wanted, private=private, exist_ok=True)
            told = api.upload_folder(
                repo_id=wanted, folder_path=made, commit_message=f"{done['run']}, by pipeline push"
            )
    return {"run": done["run"], "address": f"hf://{wanted}", "commit": str(told.oid)}


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError(
            "hf://: needs huggingface_hub: pip install 'diffusion-pipeline[hub]'"
        ) from error
    return huggingface_hub


@contextmanager
def _explaining(address: str) -> Iterator[None]:
    """InputError in a line for what the hub's library raises."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        yield
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{address}: {said}") from error
