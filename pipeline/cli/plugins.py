"""The commands about what is installed: ``pipeline plugins …``.

What they call is imported when they run: help must not wait for pydantic, nor listings for torch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import plugin
from .output import as_json, output


@click.group(
    "plugins",
    invoke_without_command=True,
    epilog="""\b
    Examples:
      pipeline plugins
      pipeline plugins show sampler ddim
      pipeline plugins show sampler mine --plugin my_sampler.py
      pipeline plugins check sampler mine --plugin my_sampler.py""",
)
@plugin
@click.pass_context
def plugins_group(ctx: click.Context, plugins: tuple[Path, ...]) -> None:
    """What is installed: `list` (the default), `show KIND NAME`, `check KIND NAME`."""
    ctx.obj = plugins
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_plugins)


@plugins_group.command("list")
@plugin
@click.pass_obj
def list_plugins(before: tuple[Path, ...], plugins: tuple[Path, ...] = ()) -> None:
    """Every stage with its package; what is broken or ambiguous, and why."""
    from ..recipe.catalogue import plugins as list_or_describe

    click.echo(list_or_describe(plugins=before + plugins))


@plugins_group.command("show", epilog="\b\nExample:\n  pipeline plugins show sampler ddim")
@click.argument("kind")
@click.argument("name")
@plugin
@click.pass_obj
def show_plugin(before: tuple[Path, ...], kind: str, name: str, plugins: tuple[Path, ...]) -> None:
    """A stage's docstring, options, types, defaults, package and version."""
    from ..recipe.catalogue import plugins as list_or_describe

    click.echo(list_or_describe(kind, name, plugins=before + plugins))


@plugins_group.command(
    "check",
    epilog="""\b
    Examples:
      pipeline plugins check sampler ddim
      pipeline plugins check sampler ddim --set eta=0.5
      pipeline plugins check dataset image_folder --set root=photos
      pipeline plugins check sampler mine --plugin my_sampler.py --json""",
)
@click.argument("kind")
@click.argument("name")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="OPTION=VALUE",
    help="Check the stage with this option, such as eta=0.5. Repeatable.",
)
@plugin
@as_json
@click.pass_obj
def check_plugin(
    before: tuple[Path, ...], /, as_json: bool, plugins: tuple[Path, ...] = (), **options: Any
) -> None:
    """Whether a stage keeps the contract of its kind: what was checked, measured and is wrong.

    Its options' defaults, and the examples that its class declares, are tried. Exit code 1 when a
    check failed.
    """
    from ..testing.command import check

    with output(as_json) as give:
        report = check(**options, plugins=before + plugins)
        give(report.data(), report.table())
    if not report.ok:
        sys.exit(1)
