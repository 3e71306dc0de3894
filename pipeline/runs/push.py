"""``pipeline push``: a run on a model hub."""

from __future__ import annotations

import tempfile
from pathlib import Path

from .export import export
from .hub import address_of, explaining, library
from .results import PushResult


def push(
    run: str | Path,
    address: str,
    *,
    private: bool = False,
    half: bool = False,
    raw: bool = False,
    images: bool = False,
    about: Path | None = None,
    store: Path | None = None,
) -> PushResult:
    """Export a run as ``export`` does, and put it on the hub as ``user/name``.

    ``private``: where it is new, only its owner sees it. Who pushes is who has logged in (``hf auth
    login``) or ``HF_TOKEN``. InputError where the hub refuses.
    """
    wanted = address_of(address) or address_of(f"hf://{address}")
    hub = library()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "run"
        done = export(run, made, half=half, raw=raw, images=images, about=about, store=store)
        with explaining(f"hf://{wanted}"):
            api = hub.HfApi()
            api.create_repo(wanted, private=private, exist_ok=True)
            told = api.upload_folder(
                repo_id=wanted, folder_path=made, commit_message=f"{done['run']}, by pipeline push"
            )
    return {"run": done["run"], "address": f"hf://{wanted}", "commit": str(told.oid)}
