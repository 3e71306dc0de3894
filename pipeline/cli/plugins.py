"""The commands about what is installed: ``pipeline plugins …``.

What they call is imported when they run: help must not wait for pydantic, nor listings for torch.
"""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click

from .complete import kinds, stages
from .options import Commands, plugin
from .output import as_json, output


@click.group(
    "plugins",
    cls=Commands,
    invoke_without_command=True,
    epilog="""\b
    Examples:
      pipeline plugins
      pipeline plugins show sampler ddim
      pipeline plugins show sampler mine --plugin my_sampler.py
      pipeline plugins check sampler mine --plugin my_sampler.py
      pipeline plugins new sampler mine""",
)
@plugin
@as_json
@click.pass_context
def plugins_group(ctx: click.Context, plugins: tuple[Path, ...], as_json: bool) -> None:
    """What is installed: `list` (the default), `show`, `check` or `new KIND NAME`."""
    ctx.obj = plugins
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_plugins, as_json=as_json)


@plugins_group.command("list")
@plugin
@as_json
@click.pass_obj
def list_plugins(
    before: tuple[Path, ...], as_json: bool = False, plugins: tuple[Path, ...] = ()
) -> None:
    """Every stage with its package; what is broken, ambiguous or slow to import, and why."""
    from ..plugin.registry import Registry
    from ..recipe.catalogue import plugins_data, plugins_table

    with output(as_json) as give:
        registry = Registry.load(before + plugins)
        give(plugins_data(registry), plugins_table(registry))


@plugins_group.command("show", epilog="\b\nExample:\n  pipeline plugins show sampler ddim")
@click.argument("kind", shell_complete=kinds)
@click.argument("name", shell_complete=stages)
@plugin
@as_json
@click.pass_obj
def show_plugin(
    before: tuple[Path, ...], kind: str, name: str, as_json: bool, plugins: tuple[Path, ...]
) -> None:
    """A stage's docstring, options, types, defaults, package and version."""
    from ..plugin.registry import Registry
    from ..recipe.catalogue import describe_stage, stage_data

    with output(as_json) as give:
        registry = Registry.load(before + plugins)
        give(stage_data(registry, kind, name), describe_stage(registry, kind, name))


@plugins_group.command(
    "new",
    epilog="""\b
    Examples:
      pipeline plugins new sampler mine
      pipeline plugins new metric sharpness --package""",
)
@click.argument("kind", shell_complete=kinds)
@click.argument("name", shell_complete=stages)
@click.option("--package", is_flag=True, help="A folder pipeline-NAME that pip installs.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=".", help="The folder to write into."
)
@as_json
def new_plugin(kind: str, name: str, package: bool, out: Path, as_json: bool) -> None:
    """Writes a stage that works, with its test, to be changed into your own."""
    from ..plugin.new import new

    with output(as_json) as give:
        paths = new(kind, name, package=package, out=out)
        then = f"pipeline plugins check {kind} {name} --plugin {quote(str(paths[0]))}"
        if package:
            then = f"cd {quote(str(paths[0].parent))} && pip install -e '.[test]' && pytest"
        give([str(path) for path in paths], "\n".join([*map(str, paths), f"Next: {then}"]))


@plugins_group.command(
    "check",
    epilog="""\b
    Examples:
      pipeline plugins check sampler ddim
      pipeline plugins check sampler ddim --set eta=0.5
      pipeline plugins check dataset image_folder --set root=photos
      pipeline plugins check sampler mine --plugin my_sampler.py --json""",
)
@click.argument("kind", shell_complete=kinds)
@click.argument("name", shell_complete=stages)
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
        raise click.exceptions.Exit(1)
