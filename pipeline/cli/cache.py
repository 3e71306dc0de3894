"""The commands about the store: ``pipeline cache ls``, ``verify`` and ``gc``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from . import summary
from .options import FOLDER, Commands, store
from .output import as_json, output

# The store's function is imported when a command runs: help must not wait for pydantic and h5py.


@click.group(
    "cache",
    cls=Commands,
    epilog="""\b
    Examples:
      pipeline cache ls
      pipeline cache verify
      pipeline cache gc --dry-run
      pipeline cache gc --forget runs/old""",
)
def cache_group() -> None:
    """The store of artifacts: `ls`, `verify`, `gc`."""


@cache_group.command("ls")
@store
@as_json
def list_store(as_json: bool, store: Path | None) -> None:
    """What is kept, with sizes."""
    from ..runs.cache import cache

    with output(as_json) as give:
        records = cache("ls", store=store)
        give(records, summary.store_summary(records))


@cache_group.command("verify")
@store
@as_json
def verify_store(as_json: bool, store: Path | None) -> None:
    """Read everything, runs too, and check it against its digests. Exit code 1 for damage."""
    from ..runs.cache import cache

    with output(as_json) as give:
        damaged = cache("verify", store=store)
        lines = [f"{name}: {damage}" for name, damage in damaged.items()]
        give(damaged, "\n".join(lines) or "all is as it was written")
    if damaged:
        raise click.exceptions.Exit(1)


@cache_group.command("gc")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option(
    "--forget",
    multiple=True,
    type=FOLDER,
    help="A run, or a folder of runs, that is gone for good: what it needed goes too.",
)
@store
@as_json
def clean_store(as_json: bool, store: Path | None, dry_run: bool, forget: Sequence[Path]) -> None:
    """Remove what no run needs, wherever the runs are that have used the store.

    What runs needed that are no longer where they were is kept, and told, until `--forget`.
    """
    from ..runs.cache import cache

    with output(as_json) as give:
        records = cache("gc", store=store, dry_run=dry_run, forget=forget)
        title = "would be removed" if dry_run else "removed"
        give(records, f"{summary.store_summary(records)}\n{title}")
