"""The commands about the folder of runs: ``pipeline ls`` and ``pipeline rm``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from .options import FOLDER
from .output import as_json, output


@click.command("ls", epilog="\b\nExamples:\n  pipeline ls\n  pipeline ls --runs old/runs --json")
@click.option("--runs", type=FOLDER, default="runs", show_default=True, help="Where the runs are.")
@as_json
def ls_command(as_json: bool, runs: Path) -> None:
    """List runs and comparisons: state, steps, first score, when, size of the folder, changes."""
    from ..runs.listing import list_lines, ls

    with output(as_json) as give:
        entries = ls(runs=runs)
        width = shutil.get_terminal_size((100, 24)).columns
        give(entries, "\n".join(list_lines(entries, width)) if entries else "no runs yet")


@click.command("rm", epilog="\b\nExample:\n  pipeline rm quickstart-2 --yes")
@click.argument("run", type=FOLDER)
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@as_json
def rm_command(as_json: bool, run: Path, yes: bool) -> None:
    """Remove what RUN, or a comparison, wrote into its folder. The store keeps its results."""
    from ..runs.listing import rm

    with output(as_json) as give:
        agreed = yes or (
            sys.stdin.isatty() and click.confirm(f"Remove the run {run}?", err=True, abort=True)
        )
        done = rm(run, yes=agreed)
        lines = [f"removed {done['run']}"]
        if done["kept"]:
            lines.append(f"  kept, as no run wrote it: {', '.join(done['kept'])}")
        if done["clean"]:
            lines.append(f"  its results are in the store until: {done['clean']}")
        give(done, "\n".join(lines))
