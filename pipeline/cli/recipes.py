"""The commands about recipes: ``pipeline validate``, ``show``, ``diff`` and ``schema``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .complete import recipes
from .options import FOLDER, changes, plugin
from .output import as_json, output

# What they call is imported when they run: help must not wait for pydantic.


@click.command(
    "validate",
    epilog="""\b
    Examples:
      pipeline validate my.yaml --set train.epochs=80
      pipeline validate my.yaml --json""",
)
@click.argument("recipe", shell_complete=recipes)
@changes
@plugin
@as_json
def validate_command(as_json: bool, **options: Any) -> None:
    """Check RECIPE: every problem of it at once, with file:line:column."""
    from ..recipe.load import check_recipe

    with output(as_json) as give:
        loaded = check_recipe(**options)
        name = loaded.recipe.name
        data = {"recipe": str(loaded.path), "name": name, "valid": True}
        give(data, f"{loaded.path}: {name} is a valid recipe")


@click.command(
    "show",
    epilog="""\b
    Examples:
      pipeline show flowers32_ddim
      pipeline show my.yaml --json
      pipeline show --keys
      pipeline show --keys train.validate""",
)
@click.argument("recipe", shell_complete=recipes, required=False)
@changes
@plugin
@click.option(
    "--keys",
    is_flag=False,
    flag_value="",
    metavar="[SECTION]",
    help="List every key that a recipe may have, or those of a section, instead.",
)
@as_json
def show_command(recipe: str | None, keys: str | None, as_json: bool, **options: Any) -> None:
    """Print RECIPE with every default filled in and the origin of each value."""
    from ..recipe.show import show

    if (recipe is None) == (keys is None):
        raise click.UsageError("give a RECIPE, or --keys alone")
    with output(as_json) as give:
        text = show(recipe, keys=keys, **options).rstrip("\n")
        give(_shown(recipe, keys, options) if as_json else None, text)


def _shown(recipe: str | None, keys: str | None, options: dict[str, Any]) -> Any:
    """What ``show`` says, as plain data."""
    from ..recipe.keys import recipe_keys
    from ..recipe.load import check_recipe

    if recipe is None:
        return [asdict(key) for key in recipe_keys(keys or "")]
    loaded = check_recipe(recipe, **options)
    return {"recipe": loaded.data, "origins": loaded.origins}


@click.command("diff", epilog="\b\nExample:\n  pipeline diff flowers_ddim flowers32_ddim")
@click.argument("a", shell_complete=recipes)
@click.argument("b", shell_complete=recipes)
@plugin
def diff_command(**options: Any) -> None:
    """What differs between two recipes, by stage."""
    from ..recipe.show import diff

    click.echo(diff(**options))


@click.command(
    "schema",
    epilog="""\b
    Examples:
      pipeline schema --out recipe.schema.json
      pipeline schema --plugin my_sampler.py --out recipe.schema.json

    With `# yaml-language-server: $schema=recipe.schema.json` as its first line, an editor
    completes and checks a recipe beside that file.""",
)
@plugin
@click.option("--out", type=FOLDER, help="A file to write it to  [default: print it]")
def schema_command(plugins: tuple[Path, ...], out: Path | None) -> None:
    """Print the JSON Schema of recipes: every key, every installed stage and its options."""
    import json

    from ..recipe.jsonschema import schema

    made = schema(plugins=plugins, out=out)
    click.echo(out or json.dumps(made, indent=1, ensure_ascii=False))
