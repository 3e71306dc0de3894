"""The commands about recipes: ``pipeline validate``, ``show`` and ``diff``."""

from __future__ import annotations

from typing import Any

import click

from .options import changes, plugin

# What they call is imported when they run: help must not wait for pydantic.


@click.command("validate", epilog="\b\nExample:\n  pipeline validate my.yaml --set train.epochs=80")
@click.argument("recipe")
@changes
@plugin
def validate_command(**options: Any) -> None:
    """Check RECIPE: every problem of it at once, with file:line:column."""
    from ..recipe.load import check_recipe

    loaded = check_recipe(**options)
    click.echo(f"{loaded.path}: {loaded.recipe.name} is a valid recipe")


@click.command("show", epilog="\b\nExample:\n  pipeline show flowers32_ddim")
@click.argument("recipe")
@changes
@plugin
def show_command(**options: Any) -> None:
    """Print RECIPE with every default filled in and the origin of each value."""
    from ..recipe.show import show

    click.echo(show(**options), nl=False)


@click.command("diff", epilog="\b\nExample:\n  pipeline diff flowers_ddim flowers32_ddim")
@click.argument("a")
@click.argument("b")
@plugin
def diff_command(**options: Any) -> None:
    """What differs between two recipes, by stage."""
    from ..recipe.show import diff

    click.echo(diff(**options))
